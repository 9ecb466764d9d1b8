// Gathers what /status shows from the threads and the storage actor. Asked at most once at a time, however many ask.

import type { ActorLog, Clock, Runtime, RuntimeStats, ThreadStats } from '../runtime/index.ts';
import {
  type Alarm,
  type DestinationState,
  type IntakeStatus,
  parkedListedMax,
  partitionsListedMax,
  type StatusReport,
  type ThreadStatus,
} from './admin/contract.ts';
import type { IntakeWatch } from './intake-watch.ts';
import { pendingEvents } from './pending-events.ts';
import type { WorkspaceStatus } from './services/backend-config.ts';
import type { ServiceStatus } from './services/service-health.ts';
import type { WorkspaceIndex } from './services/workspace.ts';
import type { LeaseStats, StorageStats } from './storage/contract.ts';
import type { StorageLanes } from './storage-lanes.ts';

const errorsKept = 20;

export interface StatusOptions {
  runtime: Runtime;
  storage: StorageLanes;
  clock: Clock;
  program: Omit<StatusReport['program'], 'nowMs'>;
  workspace(): WorkspaceStatus;
  index(): WorkspaceIndex;
  intake(): Pick<IntakeWatch, 'alarms' | 'status'> | undefined;
  services(): ServiceStatus[];
  destinations(): DestinationState[];
  lastErrors: LastErrors;
}

/** The last warnings and errors of the main thread's log, newest first: also those that threads sent. */
export class LastErrors {
  readonly #errors: { atMs: number; where: string; text: string }[] = [];

  get all(): { atMs: number; where: string; text: string }[] {
    return this.#errors;
  }

  add(atMs: number, where: string, text: string): void {
    // What repeats (a database that is away says so every second) must not push everything else out.
    const known = this.#errors.findIndex((error) => error.where === where && error.text === text);
    if (known >= 0) this.#errors.splice(known, 1);
    this.#errors.unshift({ atMs, where, text });
    if (this.#errors.length > errorsKept) this.#errors.pop();
  }

  /** `log`, with its errors remembered. */
  watch(log: ActorLog, where: string, nowMs: () => number): ActorLog {
    const keep = ({ thread }: Readonly<Record<string, unknown>>, text: string): void =>
      // Main writes the lines of all threads; they name theirs.
      this.add(nowMs(), typeof thread === 'string' ? thread : where, text);
    return {
      debug: (fields, text) => log.debug(fields, text),
      info: (fields, text) => log.info(fields, text),
      warn: (fields, text) => {
        keep(fields, text);
        log.warn(fields, text);
      },
      error: (fields, text) => {
        keep(fields, text);
        log.error(fields, text);
      },
    };
  }
}

export async function collectStatus(options: StatusOptions): Promise<Omit<StatusReport, 'ready' | 'reasons'>> {
  const [runtime, storage, lease] = await Promise.all([
    options.runtime.stats(),
    // A storage actor that restarts is part of what the status must be able to show.
    options.storage.stats().catch((): StorageStats | undefined => undefined),
    options.storage.lease().catch((): LeaseStats | undefined => undefined),
  ]);
  const partitions = (storage?.queues ?? []).flatMap(({ queue, partitions: rows }) =>
    rows.map((row) => ({ queue, ...row })),
  );
  partitions.sort((a, b) => b.pending - a.pending);
  return {
    program: { ...options.program, nowMs: options.clock.nowMs() },
    alarms: [...alarmsOf(storage), ...(options.intake()?.alarms() ?? [])],
    threads: runtime.threads.map(threadStatus),
    actors: actorsOf(runtime),
    parked: parkedOf(runtime),
    saturating: saturatingOf(runtime),
    queues: (storage?.queues ?? []).map(({ queue, pending, pendingBytes, oldestAgeMs, partitionsTotal }) => ({
      queue,
      pending,
      pendingBytes,
      oldestAgeMs,
      partitions: partitionsTotal,
    })),
    partitions: partitions.slice(0, partitionsListedMax),
    partitionsTotal: (storage?.queues ?? []).reduce((sum, queue) => sum + queue.partitionsTotal, 0),
    ...intakeOf(options),
    ledger: ledgerSums(storage),
    ledgerRows: storage?.ledger ?? [],
    pendingEvents: pendingEvents(storage?.ledger ?? [], options.index()).slice(0, partitionsListedMax),
    ...(lease === undefined ? {} : { lease }),
    ...(storage === undefined ? {} : { commits: storage.commits, postgres: storage.postgres }),
    workspace: options.workspace(),
    services: options.services(),
    destinations: options.destinations().slice(0, partitionsListedMax),
    lastErrors: options.lastErrors.all,
  };
}

function nameOf({ role, threadId }: ThreadStats): string {
  return role === 'main' ? role : `${role}-${threadId}`;
}

/** Bounded: a defect of a destination can park thousands at once. */
export function parkedOf({ threads }: RuntimeStats): StatusReport['parked'] {
  const parked: StatusReport['parked'] = [];
  for (const thread of threads) {
    for (const actor of thread.system?.parked ?? []) {
      if (parked.length >= parkedListedMax) return parked;
      parked.push({ actor, thread: nameOf(thread) });
    }
  }
  return parked;
}

/** At most one of each thread. */
export function saturatingOf({ threads }: RuntimeStats): StatusReport['saturating'] {
  return threads.flatMap((thread) => {
    const saturation = thread.system?.saturatedBy;
    if (saturation === undefined) return [];
    const { actor, share, remedy } = saturation;
    return [{ actor, thread: nameOf(thread), share: Math.round(share * 100) / 100, remedy }];
  });
}

function intakeOf({ intake }: StatusOptions): { intake?: IntakeStatus } {
  const watch = intake();
  return watch === undefined ? {} : { intake: watch.status() };
}

function alarmsOf(storage: StorageStats | undefined): Alarm[] {
  const text = storage?.ledgerAlarm ?? '';
  return text === '' ? [] : [{ name: 'ledger', text: `it does not balance: ${text}` }];
}

function threadStatus(thread: ThreadStats): ThreadStatus {
  return {
    name: nameOf(thread),
    role: thread.role,
    state: thread.state,
    actors: thread.actors,
    mailboxMessages: thread.mailboxDepth,
    eventLoopUtilization: thread.eventLoopUtilization,
    uptimeMs: thread.uptimeMs,
    restarts: thread.restarts,
  };
}

function actorsOf({ threads, deadLetters }: RuntimeStats): StatusReport['actors'] {
  return {
    resident: threads.reduce((sum, thread) => sum + thread.actors, 0),
    parked: threads.reduce((sum, thread) => sum + thread.parked, 0),
    restarts: threads.reduce((sum, thread) => sum + (thread.system?.life.restarts ?? 0), 0),
    deadLetters,
  };
}

/**
 * Sums by counter over all sources and destinations, and what is pending now. Both balance exactly:
 * accepted = processed + deduplicated + suppressed + aborted at the source + pendingGateway,
 * routed = delivered + filtered + aborted + pendingRouter.
 */
function ledgerSums(storage: StorageStats | undefined): Record<string, number> {
  const sums: Record<string, number> = {
    accepted: 0,
    processed: 0,
    deduplicated: 0,
    suppressed: 0,
    routed: 0,
    delivered: 0,
    filtered: 0,
    aborted: 0,
  };
  for (const { kind, count } of storage?.ledger ?? []) sums[kind] = (sums[kind] ?? 0) + count;
  const pending = (queue: string): number => storage?.queues.find((one) => one.queue === queue)?.pending ?? 0;
  return { ...sums, pendingGateway: pending('gw'), pendingRouter: pending('rt') + pending('batch_rt') };
}
