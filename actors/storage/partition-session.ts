// The consumer's side of the session protocol of contract.ts, once for all stages: open, pull, accept, commit, and
// open again when anything about the session is in doubt. A stage is left with its own work.
//
//   closed --open--> open --lose--> closed, with a timer that opens again under a new session
//                    open --close--> closed for good
//
// A session is lost when a commit was answered `stale`, when its answer did not come, or when jobs are missing between
// two hand-outs. Nothing has to be repaired then: the storage actor hands out again whatever is unfinished.

import type { ActorContext, ActorRef } from '../../runtime/index.ts';
import type { Job, QueueName } from '../job.ts';
import { consumerPlace } from '../lanes.ts';
import type { Observation } from '../observations/contract.ts';
import {
  type Commit,
  type CommitReply,
  type ConsumerMessage,
  type DoneRun,
  type HandedJobs,
  type JobRunReport,
  type JobStatus,
  type LeavePartition,
  type LedgerDelta,
  type SeenIds,
  type StorageMessage,
  type StoredJobs,
  storageKind,
} from './contract.ts';
import { type BytesBudget, bytesOf, Demand } from './demand.ts';
import { predecessorOf } from './done-runs.ts';
import { readJobs } from './job-row.ts';

export { BytesBudget, bytesOf, type LimitShare } from './demand.ts';

/** What a consumer actor receives for its session; its own messages come on top. */
export type SessionMessage = ConsumerMessage | { kind: 'openSession' } | { kind: 'checkSession' } | CommitSettled;

export interface CommitSettled {
  kind: 'commitSettled';
  session: number;
  /** From `commit`. */
  ticket: number;
  /** Undefined when there was no answer. */
  reply: CommitReply | undefined;
  /** Why there was no answer. */
  failure: string;
}

export interface HandedJob {
  job: Job;
  /** For done-runs.ts. */
  afterId: number;
  /** True when an older session had it: it may have been worked on before. */
  again: boolean;
  status: JobStatus | undefined;
}

export interface Results {
  jobs: StoredJobs[];
  runs: DoneRun[];
  statuses: JobStatus[];
  ledger: LedgerDelta[];
  jobRuns?: JobRunReport;
  seen?: SeenIds[];
  observations?: Observation[];
}

export interface SessionOptions {
  queue: QueueName;
  /** Storage lanes there are; the actor's key names its own (lanes.ts). */
  lanes: number;
  /** Jobs the actor may hold at once. */
  slots: number;
  /** Shared by the thread's partitions of this kind. */
  budget: BytesBudget;
  commitTimeoutMs: number;
  /** False: not yet, try again shortly (the workspace has not arrived on this thread). */
  isReady(): boolean;
}

/** Bytes of the jobs one partition holds. */
const partitionBytesMax = 32 * 1024 * 1024;
const reopenBackoffMsMin = 100;
const reopenBackoffMsMax = 10_000;
const readyRetryMs = 50;
/** Silence after a wake-up for this long makes a session doubtful. */
const wakeGraceMs = 500;
const openTimerName = 'openSession';
const checkTimerName = 'checkSession';

export class PartitionSession<Message> {
  readonly #context: ActorContext<Message | SessionMessage>;
  readonly #options: SessionOptions;
  readonly #partition: string;
  readonly #storage: ActorRef<StorageMessage>;
  readonly #demand: Demand;
  readonly #unsettled = new Set<Promise<unknown>>();
  /** 0 = closed. */
  #session = 0;
  /** A wake-up came, and nothing since. */
  #isInDoubt = false;
  #lastFreshId = -1;
  #losses = 0;
  /** Of this session. */
  #refusals = 0;
  /** Commits sent in this session. */
  #sent = 0;
  #tickets = 0;
  #closed = false;

  constructor(context: ActorContext<Message | SessionMessage>, options: SessionOptions) {
    this.#context = context;
    this.#options = options;
    const { lane, partition } = consumerPlace(context.key, options.lanes);
    this.#partition = partition;
    this.#storage = context.ref<StorageMessage>(storageKind, String(lane));
    const { slots, budget } = options;
    this.#demand = new Demand({ slots, bytesMax: partitionBytesMax, budget });
  }

  get isOpen(): boolean {
    return this.#session !== 0;
  }

  /** 0: none is open. */
  get id(): number {
    return this.#session;
  }

  /** From onStart and for `openSession`. A no-op when it is open already. */
  open(): void {
    if (this.#closed || this.#session !== 0) return;
    if (!this.#options.isReady()) {
      this.#context.schedule(openTimerName, readyRetryMs, { kind: 'openSession' });
      return;
    }
    const { random } = this.#context;
    this.#session = 1 + random.integer(2 ** 48);
    this.#isInDoubt = false;
    this.#refusals = 0;
    this.#sent = 0;
    this.#lastFreshId = -1;
    this.#tell({
      kind: 'openPartition',
      queue: this.#options.queue,
      partition: this.#partition,
      session: this.#session,
    });
    this.#pull();
  }

  /**
   * For `jobsReady`: the storage actor believes that nobody is here. It may have sent it before it knew of this session,
   * so the session is asked about only when nothing else is heard for a while.
   */
  wake(): void {
    if (this.#session === 0) this.open();
    else if (this.#unsettled.size === 0 && !this.#isInDoubt) {
      this.#isInDoubt = true;
      this.#context.schedule(checkTimerName, wakeGraceMs, { kind: 'checkSession' });
    }
  }

  /** For `checkSession`: results that hold nothing are answered like any others. */
  check(): void {
    if (!this.#isInDoubt || this.#session === 0) return;
    this.#isInDoubt = false;
    this.commit({ jobs: [], runs: [], statuses: [], ledger: [] });
  }

  /** The jobs of a hand-out, or undefined when they are not for this session. */
  accept(message: HandedJobs): HandedJob[] | undefined {
    if (this.#session === 0 || message.session !== this.#session) return undefined;
    this.#trust();
    const again = message.afterId < 0;
    if (!again) {
      if (this.#lastFreshId >= 0 && message.afterId > this.#lastFreshId) {
        this.lose('jobs are missing between two hand-outs');
        return undefined;
      }
    }
    const statuses = new Map(message.statuses.map((status) => [status.jobId, status]));
    const handed: HandedJob[] = [];
    let bytes = 0;
    let previousId = again ? -1 : Math.max(message.afterId, this.#lastFreshId);
    for (const job of readJobs(message.rows)) {
      const { jobId } = job;
      handed.push({ job, afterId: predecessorOf(jobId, previousId), again, status: statuses.get(jobId) });
      bytes += bytesOf(job);
      if (!again) previousId = jobId;
    }
    if (!again) this.#lastFreshId = previousId;
    this.#demand.handed(handed.length, bytes);
    this.#pull();
    return handed;
  }

  /** Jobs that left the actor for good: their room is asked for anew. `bytes`: the sum of their `bytesOf`. */
  release(count: number, bytes: number): void {
    this.#demand.released(count, bytes);
    this.#pull();
  }

  /** Sends results; the answer comes back as `commitSettled` with the ticket returned here. */
  commit(results: Results): number {
    this.#tickets += 1;
    const ticket = this.#tickets;
    const session = this.#session;
    this.#context.pipeToSelf(this.#ask(results), (outcome): SessionMessage => {
      if (outcome.ok) return { kind: 'commitSettled', session, ticket, reply: outcome.value, failure: '' };
      return { kind: 'commitSettled', session, ticket, reply: undefined, failure: outcome.error.message };
    });
    return ticket;
  }

  /** The same for onStop, where no message arrives any more. Never rejects. */
  async commitAndWait(results: Results): Promise<CommitReply | undefined> {
    try {
      return await this.#ask(results);
    } catch (error) {
      // Whatever was not committed is handed out again; the next actor of this partition does the work once more.
      this.#context.log.warn({ failure: String(error) }, 'results were not committed before the stop');
      return undefined;
    }
  }

  /** Resolves when every commit sent so far has been answered. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#unsettled);
  }

  /**
   * What an answer means for the batch it belongs to; `lost` also for answers of an older session. `behind`: it was not
   * tried, because one before it was refused, and is to be committed again after that one.
   */
  settle(message: CommitSettled): 'committed' | 'refused' | 'behind' | 'lost' {
    if (this.#session === 0 || message.session !== this.#session) return 'lost';
    if (message.reply?.kind === 'committed') {
      this.#trust();
      this.#losses = 0;
      return 'committed';
    }
    if (message.reply?.kind === 'behind') return 'behind';
    if (message.reply?.kind === 'refused') {
      this.#refusals += 1;
      return 'refused';
    }
    this.lose(message.reply?.kind ?? message.failure);
    return 'lost';
  }

  /** Gives the session up and opens a new one after a backoff (at once the first time it is merely stale). */
  lose(reason: string): void {
    if (this.#session === 0) return;
    this.#session = 0;
    this.#demand.reset();
    this.#losses += 1;
    const ceilingMs = Math.min(reopenBackoffMsMax, reopenBackoffMsMin * 2 ** (this.#losses - 1));
    const delayMs = reason === 'stale' && this.#losses === 1 ? 0 : ceilingMs * (0.5 + this.#context.random.next() / 2);
    this.#context.log.warn({ reason, delayMs: Math.round(delayMs) }, 'session lost; the partition is opened again');
    if (!this.#closed) this.#context.schedule(openTimerName, delayMs, { kind: 'openSession' });
  }

  /**
   * For `leavePartition`: the lane leaves this process. True when what is held is worth nothing any more: then the
   * session is gone, and the partition is opened again when it is woken. Otherwise the actor is put away in order.
   */
  leave({ session, isLost }: LeavePartition): boolean {
    if (this.#session === 0 || session !== this.#session) return false;
    if (!isLost) {
      this.#context.passivate();
      return false;
    }
    this.#session = 0;
    this.#demand.reset();
    this.#context.cancel(checkTimerName);
    return true;
  }

  /**
   * For onStop: what was handed out and is unfinished is pending again, from `restUntilMs` (epoch) on. `isAsleep`: until
   * then new jobs do not wake the partition either.
   */
  close(restUntilMs = 0, isAsleep = false): void {
    this.#closed = true;
    if (this.#session === 0) return;
    const { queue } = this.#options;
    const [partition, session] = [this.#partition, this.#session];
    const isFull = isAsleep || this.#demand.isFull;
    this.#storage.tell({ kind: 'closePartition', queue, partition, session, restUntilMs, isFull });
    this.#session = 0;
    this.#demand.reset();
  }

  #pull(): void {
    if (this.#session === 0) return;
    const slots = this.#demand.take();
    if (slots === 0) return;
    const { queue } = this.#options;
    this.#tell({ kind: 'pullJobs', queue, partition: this.#partition, session: this.#session, slots });
  }

  /** Without its demand a partition would wait forever, so a message that was refused here ends the session. */
  #tell(message: StorageMessage): void {
    if (!this.#storage.tell(message)) this.lose('storage cannot be reached');
  }

  #trust(): void {
    if (!this.#isInDoubt) return;
    this.#isInDoubt = false;
    this.#context.cancel(checkTimerName);
  }

  async #ask(results: Results): Promise<CommitReply> {
    const { queue, commitTimeoutMs } = this.#options;
    const { jobs, runs, statuses, ledger, jobRuns, seen = [], observations = [] } = results;
    const partition = this.#partition;
    this.#sent += 1;
    const place = { queue, partition, session: this.#session, refusalsSeen: this.#refusals, sequence: this.#sent };
    const message: Commit = {
      kind: 'commit',
      jobs,
      results: [{ ...place, runs, statuses, seen }],
      ledger,
      ...(jobRuns === undefined ? {} : { jobRuns }),
      ...(observations.length === 0 ? {} : { observations }),
    };
    const answer = this.#storage.ask<CommitReply>(message, { timeoutMs: commitTimeoutMs });
    this.#unsettled.add(answer);
    try {
      return await answer;
    } finally {
      this.#unsettled.delete(answer);
    }
  }
}
