// What the actor runtime tells about itself, as metrics, taken from figures the threads keep anyway, so that a message
// pays nothing for being counted. What is now is a gauge of main's, summed over the threads of a role; what was counted
// since a thread started goes with the snapshot of that thread, so that its sum outlives the thread.

import type { MetricSnapshot, RuntimeStats, SystemStats, ThreadMetrics, ThreadStats } from '../runtime/index.ts';

interface RoleFigure {
  name: string;
  help: string;
  of(thread: ThreadStats): number;
}

const roleGauges: readonly RoleFigure[] = [
  { name: 'sluice_actors', help: 'Resident actors by thread role', of: (thread) => thread.actors },
  { name: 'sluice_actors_parked', help: 'Actors that failed too often and wait', of: (thread) => thread.parked },
  {
    name: 'sluice_mailbox_messages',
    help: 'Messages waiting in mailboxes by thread role',
    of: (thread) => thread.mailboxDepth,
  },
  { name: 'sluice_mailbox_bytes', help: 'Bytes waiting in mailboxes', of: system((stats) => stats.mailboxBytes) },
  { name: 'sluice_asks_pending', help: 'Asks waiting for an answer', of: system((stats) => stats.asksPending) },
];

const threadCounters: readonly RoleFigure[] = [
  { name: 'sluice_actor_restarts_total', help: 'Restarts of failed actors', of: system(({ life }) => life.restarts) },
  { name: 'sluice_actor_parks_total', help: 'Times an actor was parked', of: system(({ life }) => life.parks) },
  {
    name: 'sluice_actor_failures_total',
    help: 'Failed handlers and starts of actors',
    of: system(({ life }) => life.failures),
  },
  {
    name: 'sluice_ask_timeouts_total',
    help: 'Asks without an answer in time',
    of: system((stats) => stats.askTimeouts),
  },
  {
    name: 'sluice_slices_total',
    help: 'Slices of thread time given to actors',
    of: system(({ scheduler }) => scheduler.slices),
  },
  {
    name: 'sluice_slice_seconds_total',
    help: 'Thread time given in slices',
    of: system(({ scheduler }) => scheduler.busyMs / 1000),
  },
  {
    name: 'sluice_slices_long_total',
    help: 'Slices in which an actor held its thread for too long',
    of: system(({ scheduler }) => scheduler.longSlices),
  },
  {
    name: 'sluice_link_sent_messages_total',
    help: 'Messages sent to other threads',
    of: system(({ traffic }) => traffic.sentEnvelopes),
  },
  {
    name: 'sluice_link_sent_bytes_total',
    help: 'Bytes sent to other threads',
    of: system(({ traffic }) => traffic.sentBytes),
  },
  {
    name: 'sluice_link_refused_messages_total',
    help: 'Messages a full link refused',
    of: system(({ traffic }) => traffic.refusedEnvelopes),
  },
];

/** Gauges of main's. Of a thread that gave no answer the figures of its slot only. */
export function recordRuntime(metrics: ThreadMetrics, { threads }: RuntimeStats): void {
  const roles = [...new Set(threads.map((thread) => thread.role))];
  for (const { name, help, of } of roleGauges) {
    const gauge = metrics.gauge(name, help);
    for (const role of roles) gauge.set(sumOf(threads, role, of), { role });
  }
  recordThreads(metrics, threads, roles);
  recordLinks(metrics, threads);
}

/** Counters of one thread, to be published with its own. */
export function runtimeCounters(thread: ThreadStats): MetricSnapshot[] {
  if (thread.system === undefined) return [];
  const { role } = thread;
  const counters = threadCounters.map(({ name, help, of }) => counter(name, help, [[{ role }, of(thread)]]));
  const letters = Object.entries(thread.deadLetters);
  counters.push(
    counter(
      'sluice_dead_letters_total',
      'Messages that reached no handler, by reason',
      letters.map(([reason, count]) => [{ reason }, count]),
    ),
  );
  return counters;
}

/** Restarts are main's to count: it is never respawned itself. */
export function threadRestarts({ threads }: RuntimeStats): MetricSnapshot {
  const roles = [...new Set(threads.map((thread) => thread.role))];
  return counter(
    'sluice_thread_restarts_total',
    'Threads that were started anew, by role',
    roles.map((role) => [{ role }, sumOf(threads, role, ({ restarts }) => restarts)]),
  );
}

function counter(
  name: string,
  help: string,
  values: readonly (readonly [labels: Record<string, string>, value: number])[],
): MetricSnapshot {
  return { kind: 'counter', name, help, series: values.map(([labels, value]) => ({ labels, value })) };
}

function recordThreads(metrics: ThreadMetrics, threads: readonly ThreadStats[], roles: readonly string[]): void {
  const longest = metrics.gauge('sluice_slice_longest_seconds', 'Longest slice since the thread started');
  const longestMs = system(({ scheduler }) => scheduler.longestSliceMs);
  for (const role of roles) {
    const mine = threads.filter((thread) => thread.role === role);
    longest.set(Math.max(...mine.map(longestMs)) / 1000, { role });
  }
  const share = metrics.gauge('sluice_thread_busiest_actor_ratio', 'Share of its thread that the busiest actor uses');
  const busiestMs = system(({ hot }) => hot[0]?.busyMs ?? 0);
  for (const thread of threads) share.set(Math.min(1, busiestMs(thread) / 1000), { thread: nameOf(thread) });
}

/** By the ends of the link: the least of a thread's links says who is held back. */
function recordLinks(metrics: ThreadMetrics, threads: readonly ThreadStats[]): void {
  const credits = metrics.gauge(
    'sluice_link_credit_messages',
    'Messages a link may still send before its peer takes some',
  );
  const bytes = metrics.gauge('sluice_link_credit_bytes', 'Bytes a link may still send before its peer takes some');
  const waiting = metrics.gauge('sluice_link_outbox_messages', 'Messages waiting for credit, by link');
  const names = new Map(threads.map((thread) => [thread.threadId, nameOf(thread)]));
  for (const { threadId, links } of threads) {
    for (const link of links) {
      const labels = { from: names.get(threadId) ?? '', to: names.get(link.peer) ?? '' };
      credits.set(link.creditEnvelopes, labels);
      bytes.set(link.creditBytes, labels);
      waiting.set(link.outboxEnvelopes, labels);
    }
  }
}

function nameOf({ role, threadId }: ThreadStats): string {
  return role === 'main' ? role : `${role}-${threadId}`;
}

function sumOf(threads: readonly ThreadStats[], role: string, of: (thread: ThreadStats) => number): number {
  let sum = 0;
  for (const thread of threads) if (thread.role === role) sum += of(thread);
  return sum;
}

function system(of: (stats: SystemStats) => number): (thread: ThreadStats) => number {
  return (thread) => (thread.system === undefined ? 0 : of(thread.system));
}
