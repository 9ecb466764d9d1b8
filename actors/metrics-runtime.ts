// What the actor runtime tells about itself, as metrics: sums over the threads of a role, taken from figures the threads
// keep anyway, so that a message pays nothing for being counted.

import type { RuntimeStats, SystemStats, ThreadMetrics, ThreadStats } from '../runtime/index.ts';

interface RoleGauge {
  name: string;
  help: string;
  of(thread: ThreadStats): number;
}

/** Counted since a thread started: a respawned thread starts again, which gauges may. */
const roleGauges: readonly RoleGauge[] = [
  { name: 'sluice_actors', help: 'Resident actors by thread role', of: (thread) => thread.actors },
  { name: 'sluice_actors_parked', help: 'Actors that failed too often and wait', of: (thread) => thread.parked },
  { name: 'sluice_actor_restarts', help: 'Restarts of failed actors', of: life('restarts') },
  { name: 'sluice_actor_parks', help: 'Times an actor was parked', of: life('parks') },
  { name: 'sluice_actor_failures', help: 'Failed handlers and starts of actors', of: life('failures') },
  {
    name: 'sluice_mailbox_messages',
    help: 'Messages waiting in mailboxes by thread role',
    of: (thread) => thread.mailboxDepth,
  },
  {
    name: 'sluice_mailbox_bytes',
    help: 'Bytes waiting in mailboxes',
    of: (thread) => thread.system?.mailboxBytes ?? 0,
  },
  { name: 'sluice_asks_pending', help: 'Asks waiting for an answer', of: (thread) => thread.system?.asksPending ?? 0 },
  { name: 'sluice_slices', help: 'Slices of thread time given to actors', of: scheduler('slices') },
  {
    name: 'sluice_slice_seconds',
    help: 'Thread time given in slices',
    of: (thread) => scheduler('busyMs')(thread) / 1000,
  },
  {
    name: 'sluice_slices_long',
    help: 'Slices in which an actor held its thread for too long',
    of: scheduler('longSlices'),
  },
  { name: 'sluice_thread_restarts', help: 'Threads that were started anew, by role', of: (thread) => thread.restarts },
];

export function recordRuntime(metrics: ThreadMetrics, { threads, deadLetters }: RuntimeStats): void {
  const roles = [...new Set(threads.map((thread) => thread.role))];
  for (const { name, help, of } of roleGauges) {
    const gauge = metrics.gauge(name, help);
    for (const role of roles) gauge.set(sumOf(threads, role, of), { role });
  }
  recordLongest(metrics, threads, roles);
  recordLinks(metrics, threads);
  const letters = metrics.gauge('sluice_dead_letters', 'Messages that reached no handler, by reason');
  for (const [reason, count] of Object.entries(deadLetters)) letters.set(count, { reason });
}

function recordLongest(metrics: ThreadMetrics, threads: readonly ThreadStats[], roles: readonly string[]): void {
  const longest = metrics.gauge('sluice_slice_longest_seconds', 'Longest slice since the thread started');
  for (const role of roles) {
    const mine = threads.filter((thread) => thread.role === role);
    longest.set(Math.max(...mine.map(scheduler('longestSliceMs'))) / 1000, { role });
  }
}

/** By the ends of the link: the least of a thread's links says who is held back. */
function recordLinks(metrics: ThreadMetrics, threads: readonly ThreadStats[]): void {
  const credits = metrics.gauge(
    'sluice_link_credit_messages',
    'Messages a link may still send before its peer takes some',
  );
  const bytes = metrics.gauge('sluice_link_credit_bytes', 'Bytes a link may still send before its peer takes some');
  const waiting = metrics.gauge('sluice_link_outbox_messages', 'Messages waiting for credit, by link');
  const refused = metrics.gauge('sluice_link_refused_messages', 'Messages a full link refused');
  const names = new Map(threads.map((thread) => [thread.threadId, `${thread.role}-${thread.threadId}`]));
  for (const { threadId, links } of threads) {
    for (const link of links) {
      const labels = { from: names.get(threadId) ?? '', to: names.get(link.peer) ?? '' };
      credits.set(link.creditEnvelopes, labels);
      bytes.set(link.creditBytes, labels);
      waiting.set(link.outboxEnvelopes, labels);
      refused.set(link.refusedEnvelopes, labels);
    }
  }
}

function sumOf(threads: readonly ThreadStats[], role: string, of: (thread: ThreadStats) => number): number {
  let sum = 0;
  for (const thread of threads) if (thread.role === role) sum += of(thread);
  return sum;
}

function life(name: keyof SystemStats['life']): (thread: ThreadStats) => number {
  return (thread) => thread.system?.life[name] ?? 0;
}

function scheduler(name: 'slices' | 'busyMs' | 'longSlices' | 'longestSliceMs'): (thread: ThreadStats) => number {
  return (thread) => thread.system?.scheduler[name] ?? 0;
}
