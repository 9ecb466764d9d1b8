// A lane is a log with one writer: one connection, one transaction in flight. Whatever arrives while it commits forms
// the next group (group commit without a timer). Ids are known before the commit, so that a group whose reply was lost
// is retried with the same ids or recognised as committed. Nobody ever sees half a group.
//
// States: idle → writing → idle; writing → away (no connection; retries with backoff, nothing is lost) → writing;
// any → fenced (another process took the lane over, or the actor was restarted; final, nothing is written any more).

import { PostgresError, type PostgresSession, TransportError } from '../../transport/index.ts';
import { Blame, blamedFor, isRefusal } from './blame.ts';
import { planRoll } from './dataset-rolls.ts';
import { ledgerTable } from './datasets.ts';
import { assignJobIds, buildGroup, type GroupWrite, type NumberedJobs } from './group.ts';
import { type Fence, fenceSql, wasCommitted, writeGroup } from './group-writer.ts';
import type { LaneOptions, Submission } from './lane-options.ts';
import { isFenced, type LaneOwnership, reserveJobIds } from './ownership.ts';
import { RefusalOrder } from './refusal-order.ts';
import { SubmissionQueue } from './submission-queue.ts';

const retryDelayMsMin = 50;
const retryDelayMsMax = 2_000;
/** Ids of a group that is written in parts, for each of its submissions: of the parts, and of proofs (blame.ts). */
const groupIdsMax = 4;

/** Something else that only the lane's writer may do. */
interface Chore {
  run(session: PostgresSession, fence: Fence): Promise<void>;
  fail(error: Error): void;
}

interface Numbered<Tag> extends Submission<Tag> {
  numbered: readonly NumberedJobs[];
}

export class Lane<Tag> {
  readonly #options: LaneOptions<Tag>;
  readonly #queue: SubmissionQueue<Tag>;
  #chores: Chore[] = [];
  #session: PostgresSession | undefined;
  #ownership: LaneOwnership;
  #connecting: Promise<{ session: PostgresSession }> | undefined;
  #backendPid: number;
  #attempts = 0;
  #attempt = 0;
  #watermark: number;
  #running = false;
  /** Nothing is written, only the lock is taken again. */
  #isReviving = false;
  #fenced: Error | undefined;
  #ledgerInUse: number | undefined;
  #idle: (() => void)[] = [];
  readonly #refusals = new RefusalOrder();

  constructor(options: LaneOptions<Tag>, session: PostgresSession, ownership: LaneOwnership) {
    this.#options = options;
    this.#queue = new SubmissionQueue(options, this.#refusals);
    this.#session = session;
    this.#backendPid = session.backendPid;
    this.#ownership = ownership;
    this.#watermark = ownership.nextJobId - 1;
  }

  /** Every job with an id up to here is committed, or never will be. */
  get watermark(): number {
    return this.#watermark;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** The ledger table that the group in flight writes to. */
  get ledgerInUse(): number | undefined {
    return this.#ledgerInUse;
  }

  /** What a transaction of this lane on another connection must pass. */
  get fence(): Fence {
    return { lane: this.#ownership.lane, epoch: this.#ownership.epoch };
  }

  /** Number of the attempt to get an answer from Postgres that is under way; 0: none is. */
  get attempt(): number {
    return this.#attempt;
  }

  get connected(): boolean {
    return this.#session !== undefined && this.#session.broken === undefined;
  }

  submit(submission: Submission<Tag>): void {
    if (this.#fenced !== undefined) {
      this.#options.onDropped(submission, this.#fenced);
      return;
    }
    this.#queue.push(submission);
    this.#start();
  }

  /** Sees to it that the lane is held, also while there is nothing to write: whoever finds it free takes it. */
  revive(): void {
    if (this.#fenced === undefined) this.#start();
  }

  /**
   * Runs `work` on the lane's own connection between two groups: every job's state is decided then, on disk and in
   * memory. It must be one transaction and repeatable: it is repeated when its outcome was lost with the connection.
   */
  between<Value>(work: (session: PostgresSession, fence: Fence) => Promise<Value>): Promise<Value> {
    if (this.#fenced !== undefined) return Promise.reject(this.#fenced);
    return new Promise<Value>((resolve, reject) => {
      this.#chores.push({ run: async (session, fence) => resolve(await work(session, fence)), fail: reject });
      this.#start();
    });
  }

  /** Resolves when everything submitted so far is decided. */
  drained(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Gives the lane up. `afterDrain` false: at once, whatever is in flight. */
  async close(afterDrain: boolean): Promise<void> {
    if (afterDrain && !this.#isReviving) await this.drained();
    this.#fenced ??= new TransportError('LANE_CLOSED', 'the lane was given up', { retryable: true });
    // What is under way may never end by itself.
    if (!afterDrain) this.#session?.destroy(new PostgresError('connection', 'the lane was given up'));
    await this.#session?.close();
    this.#session = undefined;
    // It closes what it gets by itself; afterwards the lock is free. Its failure is no news.
    if (afterDrain) await this.#connecting?.then(({ session }) => session.close()).catch(() => undefined);
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    // Never rejects: #run reports through the callbacks.
    void this.#run();
  }

  async #run(): Promise<void> {
    let inHand: Submission<Tag>[] = [];
    try {
      this.#isReviving = this.#queue.length === 0 && this.#chores.length === 0;
      if (this.#isReviving) await this.#untilDecided(() => Promise.resolve());
      this.#isReviving = false;
      while (this.#queue.length > 0 || this.#chores.length > 0) {
        const group = this.#queue.takeGroup();
        inHand = group;
        if (group.length > 0) await this.#reserve(group);
        await this.#prepareDatasets(group);
        await this.#runChores();
        if (group.length > 0) await this.#commitGroup(this.#number(group));
        inHand = [];
      }
    } catch (error) {
      const lost = [...inHand, ...this.#queue.takeAll()];
      const closed = this.#fenced !== undefined;
      this.#fenced ??= error instanceof Error ? error : new Error(String(error));
      for (const chore of this.#chores.splice(0)) chore.fail(this.#fenced);
      if (!closed) this.#options.onFenced(this.#fenced);
      for (const submission of lost) this.#options.onDropped(submission, this.#fenced);
    }
    this.#running = false;
    for (const idle of this.#idle.splice(0)) idle();
  }

  /** An id for every job, for the group itself, and for all it may be divided into. */
  async #reserve(group: readonly Submission<Tag>[]): Promise<void> {
    const count = group.reduce(
      (sum, { commit }) => sum + commit.jobs.reduce((jobs, stored) => jobs + stored.count, groupIdsMax),
      1,
    );
    await this.#untilDecided((session) => reserveJobIds(session, this.#ownership, count));
  }

  #number(group: readonly Submission<Tag>[]): Numbered<Tag>[] {
    return group.map((submission) => {
      const { numbered, nextId } = assignJobIds(submission, this.#ownership.nextJobId);
      this.#ownership.nextJobId = nextId;
      return { ...submission, numbered };
    });
  }

  /** `isBlamed`: a part of a group that Postgres fails for unknown reasons, while it takes others. */
  async #commitGroup(group: readonly Numbered<Tag>[], isBlamed = false): Promise<void> {
    if (group.length === 0) return;
    const write = this.#build(group);
    const refused = await this.#write(write, new Blame(isBlamed), group.length > 1);
    this.#ledgerInUse = undefined;
    if (refused === undefined) {
      this.#settle(write);
      this.#options.onCommitted(write, group);
      return;
    }
    const [only] = group;
    if (group.length === 1 && only !== undefined) {
      this.#refusals.note(only.commit);
      this.#options.onRefused(only, refused);
      return;
    }
    // Somebody's data is refused: halve until only the culprit fails. Order of ids is order of commits all the same.
    const isUnknown = refused.category === 'other';
    const half = Math.ceil(group.length / 2);
    await this.#commitGroup(group.slice(0, half), isUnknown);
    const rest = group.slice(half).filter((submission) => !this.#queue.sendBack(submission));
    await this.#commitGroup(rest, isUnknown);
  }

  #build(group: readonly Numbered<Tag>[]): GroupWrite {
    const groupId = this.#ownership.nextJobId;
    this.#ownership.nextJobId += 1;
    const ledgerNumber = this.#options.ledgerNumber();
    this.#ledgerInUse = ledgerNumber;
    return buildGroup(group, {
      groupId,
      lane: this.#ownership.lane,
      datasets: this.#options.datasets,
      ledgerNumber,
      dedupTable: this.#options.dedupTable(),
      nowMs: this.#options.nowMs(),
    });
  }

  #settle(write: GroupWrite): void {
    for (const rows of [write.placed, write.kept]) {
      for (const { dataset, row } of rows) {
        dataset.rows += 1;
        dataset.bytes += row.byteLength;
        if (row.jobId > this.#watermark) this.#watermark = row.jobId;
      }
    }
    for (const [dataset, jobs] of write.finished) dataset.finished += jobs;
  }

  /** Undefined when committed; otherwise why nothing of it was: the group is to be divided, or refused if it cannot be. */
  #write(write: GroupWrite, blame: Blame, mayBeDivided: boolean): Promise<PostgresError | undefined> {
    const ledger = ledgerTable(this.#ownership.lane, this.#ledgerInUse ?? 0);
    let again = false;
    let isProven = false;
    return this.#untilDecided(async (session) => {
      if (again && (await wasCommitted(session, ledger, write.groupId))) return undefined;
      again = true;
      try {
        await writeGroup(session, write, this.#ownership, this.#options.copyRowsMin);
        return undefined;
      } catch (error) {
        if (isRefusal(error)) return error;
        const verdict = session.broken === undefined && !isFenced(error) ? blame.judge(error) : 'again';
        if (verdict === 'split' && mayBeDivided) return blamedFor(error);
        // It must fail once more after the proof: Postgres may have recovered just between the two.
        if (verdict === 'blame' && isProven) return blamedFor(error);
        isProven = verdict === 'blame' && (await this.#takesOthers(session));
        throw error;
      }
    });
  }

  /** Proof that Postgres commits at all: a group with nothing in it but its mark. */
  async #takesOthers(session: PostgresSession): Promise<boolean> {
    try {
      await writeGroup(session, this.#build([]), this.#ownership, this.#options.copyRowsMin);
      return true;
    } catch (error) {
      if (isFenced(error)) throw error;
      return false;
    }
  }

  /** Runs `work` on a good connection until it neither fails for lack of Postgres nor throws for ever. */
  async #untilDecided<Value>(work: (session: PostgresSession) => Promise<Value>): Promise<Value> {
    let delayMs = retryDelayMsMin;
    for (;;) {
      if (this.#fenced !== undefined) throw this.#fenced;
      this.#attempts += 1;
      this.#attempt = this.#attempts;
      try {
        return await work(await this.#connection());
      } catch (error) {
        if (isFenced(error)) throw error;
        this.#options.onTrouble(error instanceof Error ? error : new Error(String(error)));
        this.#attempt = 0;
        await this.#options.delay(delayMs);
        delayMs = Math.min(delayMs * 2, retryDelayMsMax);
      } finally {
        this.#attempt = 0;
      }
    }
  }

  async #connection(): Promise<PostgresSession> {
    if (this.#session !== undefined && this.#session.broken === undefined) return this.#session;
    this.#session = undefined;
    const before = { epoch: this.#ownership.epoch, backendPid: this.#backendPid };
    const connecting = this.#options.connect(before);
    this.#connecting = connecting;
    const { session, ownership } = await connecting;
    if (this.#fenced !== undefined) {
      // Given up meanwhile: a session that stayed would hold the lane's lock, and nobody could ever take it.
      await session.close();
      throw this.#fenced;
    }
    this.#session = session;
    this.#backendPid = session.backendPid;
    // Ids already given to the group in hand stay: the new block begins above them.
    this.#ownership = ownership;
    return session;
  }

  async #runChores(): Promise<void> {
    for (const chore of this.#chores.splice(0)) {
      const outcome = this.#untilDecided(async (session) => {
        try {
          await chore.run(session, this.fence);
        } catch (error) {
          if (session.broken !== undefined || isFenced(error)) throw error;
          // The connection lives, so the transaction was rolled back: its caller may try again, or leave it.
          chore.fail(error instanceof Error ? error : new Error(String(error)));
        }
      });
      await outcome.catch((error: unknown) => {
        chore.fail(error instanceof Error ? error : new Error(String(error)));
        throw error;
      });
    }
  }

  /** Seals what is full or old, and begins a dataset for every queue that the group writes to and that has none. */
  async #prepareDatasets(group: readonly Submission<Tag>[]): Promise<void> {
    const written = new Set(group.flatMap(({ commit }) => commit.jobs.map(({ queue }) => queue)));
    for (const list of this.#options.datasets.values()) {
      const place = { nextJobId: this.#ownership.nextJobId, nowMs: this.#options.nowMs(), limits: this.#options };
      const roll = planRoll(list, written.has(list.queue), place);
      if (roll === undefined) continue;
      await this.#untilDecided((session) => session.query(fenceSql(this.fence) + roll.sql));
      roll.apply();
    }
  }
}
