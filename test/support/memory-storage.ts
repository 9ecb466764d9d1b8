// A storage actor without Postgres that keeps the whole contract of actors/storage/contract.ts: the model against which
// consumers are tested. `MemoryStorage` is the disk and survives the actor; sessions, demand and hand-outs do not. It
// checks what consumers claim, and what it finds wrong is in `violations`.

import assert from 'node:assert/strict';
import { consumerKinds, isTerminal, type Job, type JobState, type QueueName } from '../../actors/job.ts';
import type {
  Commit,
  CommitReply,
  ConsumerMessage,
  JobStatus,
  PartitionResults,
  ReadSeen,
  SeenFound,
  SeenIds,
  StorageMessage,
} from '../../actors/storage/contract.ts';
import { storageKind } from '../../actors/storage/contract.ts';
import { JobRowWriter, readJobs } from '../../actors/storage/job-row.ts';
import { arrives } from '../../actors/storage/partition.ts';
import { type ActorContext, type ActorDefinition, defineActor, type Replier } from '../../runtime/index.ts';

export interface StoredJob {
  queue: QueueName;
  job: Job;
  /** Undefined: unprocessed. */
  state: JobState | undefined;
  status: JobStatus | undefined;
}

/** What goes wrong with a commit; undefined: nothing. `lost…`: the answer never comes. */
export type CommitFault = { refuse: string } | 'failBefore' | 'lostBefore' | 'lostAfter' | undefined;

export type NewJob = Partial<Omit<Job, 'payload' | 'parameters'>> & {
  partition: string;
  parameters: object;
  payload: object | string;
};

const messageRowsMax = 128;

export class MemoryStorage {
  /** By job id, ascending. */
  readonly jobs = new Map<number, StoredJob>();
  readonly ledger = new Map<string, number>();
  readonly violations: string[] = [];
  /** What was seen, by partition, in the order of commits. */
  readonly seen = new Map<string, SeenIds[]>();
  /** How often somebody read it. */
  seenReads = 0;
  /** Every commit that was applied, in order. */
  readonly commits: Commit[] = [];
  /** Asked for every commit. */
  fault: (commit: Commit) => CommitFault = () => undefined;
  /** How long a transaction takes. */
  commitMs = 1;
  #lastId = 0;

  add(queue: QueueName, jobs: readonly NewJob[]): number[] {
    return jobs.map((one) => {
      this.#lastId += 1;
      const { payload, parameters, ...given } = one;
      const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
      const job: Job = {
        parentId: queue === 'gw' ? 0 : this.#lastId,
        userId: '',
        messageId: `m-${this.#lastId}`,
        // Far from too old for any limit, whatever the virtual time.
        receivedAtMs: Date.UTC(2026, 0, 1),
        ...given,
        jobId: this.#lastId,
        parameters: JSON.stringify(parameters),
        payload: Buffer.from(text),
      };
      this.jobs.set(job.jobId, { queue, job, state: undefined, status: undefined });
      return job.jobId;
    });
  }

  unfinished(queue: QueueName, partition?: string): StoredJob[] {
    return [...this.jobs.values()].filter(
      ({ queue: own, job, state }) =>
        own === queue && (partition ?? job.partition) === job.partition && (state === undefined || !isTerminal(state)),
    );
  }

  inState(queue: QueueName, state: JobState): StoredJob[] {
    return [...this.jobs.values()].filter((one) => one.queue === queue && one.state === state);
  }

  counted(kind: string, sourceId: string, destinationId: string): number {
    return this.ledger.get(`${kind} ${sourceId} ${destinationId}`) ?? 0;
  }

  apply(commit: Commit): void {
    this.commits.push(commit);
    for (const { queue, rows, count, ended = [] } of commit.jobs) {
      const jobs = readJobs(rows);
      if (jobs.length !== count) this.violations.push(`expected ${count} rows, got ${jobs.length}`);
      for (const [index, job] of jobs.entries()) {
        this.#lastId += 1;
        const own = { ...job, jobId: this.#lastId, payload: Buffer.from(job.payload) };
        this.jobs.set(this.#lastId, { queue, job: own, state: ended[index]?.state, status: undefined });
      }
    }
    for (const results of commit.results) this.#applyResults(results);
    for (const { kind, sourceId, destinationId, count } of commit.ledger) {
      const key = `${kind} ${sourceId} ${destinationId}`;
      this.ledger.set(key, (this.ledger.get(key) ?? 0) + count);
    }
  }

  #applyResults({ queue, partition, runs, statuses, seen = [] }: PartitionResults): void {
    if (seen.length > 0) this.seen.set(partition, [...(this.seen.get(partition) ?? []), ...seen]);
    const told = new Set(statuses.map(({ jobId }) => jobId));
    for (const status of statuses) this.#finish(status.jobId, status.state, status);
    for (const { afterId, jobIds } of runs) {
      const listed = new Set(jobIds);
      const last = jobIds.at(-1) ?? afterId;
      for (const { job } of this.unfinished(queue, partition)) {
        const claimed = job.jobId > afterId && job.jobId <= last && !listed.has(job.jobId) && !told.has(job.jobId);
        if (claimed) this.violations.push(`a run after ${afterId} up to ${last} claims unfinished job ${job.jobId}`);
      }
      for (const jobId of jobIds) this.#finish(jobId, 'succeeded', undefined);
    }
  }

  #finish(jobId: number, state: JobState, status: JobStatus | undefined): void {
    const stored = this.jobs.get(jobId);
    if (stored === undefined) this.violations.push(`job ${jobId} was never stored`);
    else if (stored.state !== undefined && isTerminal(stored.state)) this.violations.push(`job ${jobId} ended twice`);
    else {
      stored.state = state;
      stored.status = status ?? stored.status;
    }
  }
}

interface JobRef {
  queue: QueueName;
  partition: string;
}

interface Partition extends JobRef {
  session: number;
  demand: number;
  cursor: number;
  /** Unfinished jobs the present session has. */
  held: Set<number>;
  /** Unfinished jobs of older sessions, not handed out again yet. */
  again: number[];
  /** Refused commits of the present session. */
  refusals: number;
  commitsArrived: number;
}

const unopened = { session: 0, demand: 0, cursor: 0, refusals: 0, commitsArrived: 0 };

type Message =
  | StorageMessage
  | { kind: 'groupCommitted'; apply: () => void }
  | { kind: 'restOver'; partition: Partition };

export function memoryStorageDefinition(storage: MemoryStorage): ActorDefinition<Message> {
  return defineActor<Message>({
    kind: storageKind,
    role: 'storage',
    idleMs: 0,
    priority: 'interactive',
    create(context) {
      const hand = new Handing(storage, context);
      return {
        // A storage actor that comes back knows its disk and nobody's session.
        onStart: () => hand.wakeAll(),
        onMessage: (message) => hand.receive(message),
      };
    },
  });
}

class Handing {
  readonly #storage: MemoryStorage;
  readonly #context: ActorContext<Message>;
  readonly #partitions = new Map<string, Partition>();
  /** The session that added last to what a partition has seen. */
  readonly #marks = new Map<string, number>();
  #commits = 0;
  #lastCommitAtMs = 0;

  constructor(storage: MemoryStorage, context: ActorContext<Message>) {
    this.#storage = storage;
    this.#context = context;
  }

  receive(message: Message): void {
    switch (message.kind) {
      case 'commit':
        this.#commit(message);
        return;
      case 'groupCommitted':
        message.apply();
        return;
      case 'restOver':
        this.#serve(message.partition);
        return;
      case 'openPartition':
        this.#open(this.#partition(message), message.session);
        return;
      case 'pullJobs': {
        const partition = this.#partition(message);
        if (partition.session !== message.session) return;
        partition.demand += message.slots;
        this.#hand(partition);
        return;
      }
      case 'closePartition': {
        const partition = this.#partition(message);
        if (partition.session !== message.session) return;
        partition.session = 0;
        const restMs = message.restUntilMs - this.#context.clock.nowMs();
        if (restMs > 0) this.#rest(partition, restMs);
        else this.#serve(partition);
        return;
      }
      case 'wakeAll':
        this.wakeAll();
        return;
      case 'readSeen':
        this.#readSeen(message);
        return;
      case 'getStats':
        assert.fail('the memory storage keeps no statistics');
    }
  }

  /** One row to a page. */
  #readSeen({ partition, afterGroupId }: ReadSeen): void {
    this.#storage.seenReads += 1;
    const rows = this.#storage.seen.get(partition) ?? [];
    const next = afterGroupId + 1 < rows.length ? afterGroupId + 1 : undefined;
    const seen = rows.slice(afterGroupId, afterGroupId + 1);
    this.#context.replier().reply({ kind: 'seenFound', seen, next } satisfies SeenFound);
  }

  /** Only its time or a new job ends it. */
  #rest(partition: Partition, restMs: number): void {
    const name = `rest of ${partition.queue} ${partition.partition}`;
    this.#context.schedule(name, restMs, { kind: 'restOver', partition });
  }

  wakeAll(): void {
    const seen = new Set<string>();
    for (const { queue, job, state } of this.#storage.jobs.values()) {
      const name = `${queue} ${job.partition}`;
      if (seen.has(name) || (state !== undefined && isTerminal(state))) continue;
      seen.add(name);
      this.#consumer({ queue, partition: job.partition }).tell({ kind: 'jobsReady' });
      this.#serve(this.#partition({ queue, partition: job.partition }));
    }
  }

  #commit(commit: Commit): void {
    const replier = this.#context.replier();
    const fault = this.#storage.fault(commit);
    // It never got here: what is sent after it must not pass for its successor.
    if (fault === 'lostBefore') return;
    if (!commit.results.every((results) => this.#arrives(results))) {
      replier.reply({ kind: 'stale' } satisfies CommitReply);
      return;
    }
    if (fault === 'failBefore') throw new Error('the storage actor was told to fail');
    const nowMs = this.#context.clock.monotonicMs();
    this.#lastCommitAtMs = Math.max(nowMs, this.#lastCommitAtMs) + this.#storage.commitMs;
    this.#commits += 1;
    const apply = (): void => this.#end(commit, fault, replier);
    this.#context.schedule(`commit ${this.#commits}`, this.#lastCommitAtMs - nowMs, { kind: 'groupCommitted', apply });
  }

  #end(commit: Commit, fault: CommitFault, replier: Replier): void {
    const answer = this.#transact(commit, typeof fault === 'object' ? fault.refuse : undefined);
    if (fault !== 'lostAfter') replier.reply(answer);
    if (answer.kind !== 'committed') return;
    for (const { queue, rows, ended } of commit.jobs) {
      if (ended !== undefined) continue;
      for (const { partition } of readJobs(rows)) this.#serve(this.#partition({ queue, partition }));
    }
  }

  #transact(commit: Commit, refusal: string | undefined): CommitReply {
    if (commit.results.some((results) => !this.#mayReport(results))) return { kind: 'stale' };
    const partitions = commit.results.map((results) => ({ ...results, partition: this.#partition(results) }));
    if (partitions.some(({ refusalsSeen = 0, partition }) => refusalsSeen < partition.refusals))
      return { kind: 'behind' };
    if (refusal !== undefined) {
      for (const { partition } of partitions) partition.refusals += 1;
      return { kind: 'refused', reason: refusal, sqlState: '22021' };
    }
    this.#storage.apply(commit);
    for (const results of commit.results) {
      const { held } = this.#partition(results);
      const ended = [...results.runs.flatMap(({ jobIds }) => jobIds), ...terminalIds(results.statuses)];
      for (const jobId of ended) held.delete(jobId);
      if ((results.seen ?? []).length > 0) this.#marks.set(results.partition, results.session);
    }
    return { kind: 'committed' };
  }

  #arrives(results: PartitionResults): boolean {
    return results.sequence === undefined || arrives(this.#partition(results), results.session, results.sequence);
  }

  #mayReport({ queue, partition: key, session, runs, statuses }: PartitionResults): boolean {
    const partition = this.#partition({ queue, partition: key });
    if (partition.session !== session) return false;
    const ids = [...runs.flatMap(({ jobIds }) => jobIds), ...statuses.map(({ jobId }) => jobId)];
    return ids.every((jobId) => partition.held.has(jobId));
  }

  #open(partition: Partition, session: number): void {
    partition.session = session;
    partition.demand = 0;
    partition.refusals = 0;
    partition.commitsArrived = 0;
    partition.held.clear();
    const unfinished = this.#storage.unfinished(partition.queue, partition.partition);
    // Every unfinished job up to the cursor must come again: after a restart, up to the last that was reported on.
    for (const { job, state } of unfinished) {
      if (state !== undefined) partition.cursor = Math.max(partition.cursor, job.jobId);
    }
    partition.again = unfinished.map(({ job }) => job.jobId).filter((jobId) => jobId <= partition.cursor);
  }

  #serve(partition: Partition): void {
    if (partition.session !== 0) this.#hand(partition);
    else if (this.#storage.unfinished(partition.queue, partition.partition).length > 0) {
      this.#consumer(partition).tell({ kind: 'jobsReady' });
    }
  }

  #hand(partition: Partition): void {
    while (partition.demand > 0) {
      const limit = Math.min(partition.demand, messageRowsMax);
      const isAgain = partition.again.length > 0;
      const ids = isAgain ? partition.again.splice(0, limit) : this.#freshIds(partition, limit);
      if (ids.length === 0) return;
      const afterId = isAgain ? -1 : partition.cursor;
      this.#send(partition, ids, afterId);
      partition.demand -= ids.length;
      partition.cursor = Math.max(partition.cursor, ids.at(-1) ?? 0);
    }
  }

  #freshIds(partition: Partition, limit: number): number[] {
    return this.#storage
      .unfinished(partition.queue, partition.partition)
      .map(({ job }) => job.jobId)
      .filter((jobId) => jobId > partition.cursor)
      .slice(0, limit);
  }

  #send(partition: Partition, ids: readonly number[], afterId: number): void {
    const writer = new JobRowWriter();
    const statuses: JobStatus[] = [];
    for (const jobId of ids) {
      const stored = this.#storage.jobs.get(jobId);
      if (stored === undefined) continue;
      const { payload, ...job } = stored.job;
      writer.append(job, [payload]);
      if (afterId < 0 && stored.status !== undefined) statuses.push(stored.status);
      partition.held.add(jobId);
    }
    const { session } = partition;
    const isSeen = partition.queue === 'gw' && this.#storage.seen.has(partition.partition);
    const seenMark = isSeen ? (this.#marks.get(partition.partition) ?? -1) : 0;
    this.#consumer(partition).tell({ kind: 'jobs', session, ...writer.take(), afterId, statuses, seenMark });
  }

  #consumer({ queue, partition }: JobRef) {
    return this.#context.ref<ConsumerMessage>(consumerKinds[queue], partition);
  }

  #partition({ queue, partition }: JobRef): Partition {
    const name = `${queue} ${partition}`;
    let found = this.#partitions.get(name);
    if (found === undefined) {
      // As after recovery: what has a status row was handed out before, the rest counts as fresh.
      found = { queue, partition, held: new Set(), again: [], ...unopened };
      this.#partitions.set(name, found);
    }
    return found;
  }
}

function terminalIds(statuses: readonly JobStatus[]): number[] {
  return statuses.filter(({ state }) => isTerminal(state)).map(({ jobId }) => jobId);
}
