// The storage actors of all lanes, as the main thread sees them: one sum of what they tell about themselves, and one
// call to reach them all.

import type { ActorRef } from '../runtime/index.ts';
import type { QueueName } from './job.ts';
import {
  type Commit,
  type CommitReply,
  type JobFound,
  type JobsFound,
  type LeaseMessage,
  type LeaseStats,
  leaseKey,
  leaseKind,
  type MaintenanceStats,
  type QueueStats,
  type StorageMessage,
  type StoragePressure,
  type StorageStats,
  storageKind,
  type WantedJobs,
} from './storage/contract.ts';

const statsTimeoutMs = 2_000;
const lookUpTimeoutMs = 15_000;
const commitTimeoutMs = 30_000;
/** Partitions listed by queue, those with most pending jobs first. */
const partitionsListedMax = 200;

export class StorageLanes {
  readonly #refs: readonly ActorRef<StorageMessage>[];
  readonly #lease: ActorRef<LeaseMessage>;

  constructor(lanes: number, actors: { ref<Message>(kind: string, key: string): ActorRef<Message> }) {
    this.#refs = Array.from({ length: lanes }, (_, lane) => actors.ref<StorageMessage>(storageKind, String(lane)));
    this.#lease = actors.ref<LeaseMessage>(leaseKind, leaseKey);
  }

  /** Who owns the lanes, as far as this process knows. */
  lease(): Promise<LeaseStats> {
    return this.#lease.ask<LeaseStats>({ kind: 'getLease' }, { timeoutMs: statsTimeoutMs });
  }

  tell(message: StorageMessage): void {
    for (const ref of this.#refs) ref.tell(message);
  }

  /** For main's own commits, which are few. Rejects when the lane does not answer. */
  async commit(lane: number, commit: Commit): Promise<CommitReply> {
    const ref = this.#refs[lane];
    if (ref === undefined) throw new Error(`expected a lane below ${this.#refs.length}, got ${lane}`);
    return await ref.ask<CommitReply>(commit, { timeoutMs: commitTimeoutMs });
  }

  /** Jobs of all lanes, ascending by id. Rejects when a lane cannot tell. */
  async lookUp(wanted: WantedJobs): Promise<JobFound[]> {
    const answers = await Promise.all(
      this.#refs.map((ref) => ref.ask<JobsFound>({ kind: 'lookUpJobs', wanted }, { timeoutMs: lookUpTimeoutMs })),
    );
    const found = answers.flatMap((answer) => {
      if (answer.kind === 'lookUpFailed') throw new Error(answer.reason);
      return answer.jobs;
    });
    return found.sort((a, b) => a.jobId - b.jobId);
  }

  /** Rejects when one of them does not answer. */
  async stats(): Promise<StorageStats> {
    const all = await Promise.all(
      this.#refs.map((ref) => ref.ask<StorageStats>({ kind: 'getStats' }, { timeoutMs: statsTimeoutMs })),
    );
    return addStats(all);
  }

  /** Rejects when one of them does not answer. */
  async pressure(): Promise<StoragePressure> {
    return addPressure(
      await Promise.all(
        this.#refs.map((ref) => ref.ask<StoragePressure>({ kind: 'getPressure' }, { timeoutMs: statsTimeoutMs })),
      ),
    );
  }
}

/** Exported for its test. A workspace is in one lane only, so its bytes need no adding. */
export function addPressure(all: readonly StoragePressure[]): StoragePressure {
  const queues = new Map<QueueName, number>();
  for (const { queue, bytes } of all.flatMap((one) => one.queues)) queues.set(queue, (queues.get(queue) ?? 0) + bytes);
  return {
    queues: [...queues].map(([queue, bytes]) => ({ queue, bytes })),
    workspaces: all.flatMap(({ workspaces }) => workspaces).sort((a, b) => b.bytes - a.bytes),
    diskFull: all.some(({ diskFull }) => diskFull),
    // One lane alone is a matter of its commits, and not of everybody's.
    isAway: all.every(({ isAway }) => isAway),
  };
}

/** Exported for its test. */
export function addStats(all: readonly StorageStats[]): StorageStats {
  const [first] = all;
  if (first === undefined) throw new Error('expected the statistics of at least one lane');
  if (all.length === 1) return first;
  const sum = (of: (stats: StorageStats['commits']) => number): number =>
    all.reduce((total, { commits }) => total + of(commits), 0);
  return {
    maintenance: addMaintenance(all.map(({ maintenance }) => maintenance)),
    queues: addQueues(all.flatMap(({ queues }) => queues)),
    ledger: addLedger(all.flatMap(({ ledger }) => ledger)),
    ledgerAlarm: all
      .flatMap(({ ledgerAlarm }, lane) => (ledgerAlarm === '' ? [] : [`lane ${lane}: ${ledgerAlarm}`]))
      .join('; '),
    commits: {
      groups: sum(({ groups }) => groups),
      submissions: sum(({ submissions }) => submissions),
      rows: sum(({ rows }) => rows),
      bytes: sum(({ bytes }) => bytes),
      // The slowest lane's: percentiles do not add up.
      p50Ms: Math.max(...all.map(({ commits }) => commits.p50Ms)),
      p99Ms: Math.max(...all.map(({ commits }) => commits.p99Ms)),
    },
    postgres: { ...first.postgres, connected: all.every(({ postgres }) => postgres.connected) },
  };
}

/** The worst lane's state. */
function addMaintenance(all: readonly MaintenanceStats[]): MaintenanceStats {
  const failing = all.find(({ state }) => state === 'failing');
  return {
    state: failing?.state ?? (all.some(({ state }) => state === 'working') ? 'working' : 'waiting'),
    failures: all.reduce((sum, { failures }) => sum + failures, 0),
    failure: all.flatMap(({ failure }, lane) => (failure === '' ? [] : [`lane ${lane}: ${failure}`])).join('; '),
    lastRoundAtMs: Math.max(...all.map(({ lastRoundAtMs }) => lastRoundAtMs)),
  };
}

function addQueues(all: readonly QueueStats[]): QueueStats[] {
  const sums = new Map<string, QueueStats>();
  for (const one of all) {
    const sum = sums.get(one.queue);
    if (sum === undefined) {
      sums.set(one.queue, { ...one });
      continue;
    }
    sum.pending += one.pending;
    sum.pendingBytes += one.pendingBytes;
    sum.oldestAgeMs = Math.max(sum.oldestAgeMs, one.oldestAgeMs);
    sum.partitionsTotal += one.partitionsTotal;
    sum.partitions = [...sum.partitions, ...one.partitions];
  }
  for (const sum of sums.values()) {
    sum.partitions = [...sum.partitions].sort((a, b) => b.pending - a.pending).slice(0, partitionsListedMax);
  }
  return [...sums.values()];
}

function addLedger(all: StorageStats['ledger']): StorageStats['ledger'] {
  const sums = new Map<string, StorageStats['ledger'][number]>();
  for (const one of all) {
    const key = `${one.sourceId}\n${one.destinationId}\n${one.kind}`;
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { ...one });
    else sum.count += one.count;
  }
  return [...sums.values()];
}
