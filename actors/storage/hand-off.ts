// Hands committed jobs to the consumers that asked for them. Fresh jobs go straight from memory; a partition without
// demand, or one that does not fit the memory budget, goes *behind* and is read back later (backlog-reads.ts).
// Nothing here is durable: whatever is lost is read again from Postgres.

import type { JobState, QueueName } from '../job.ts';
import { isTerminal } from '../job.ts';
import { BacklogReads, type JobReader } from './backlog-reads.ts';
import type { ClosePartition, HandedJobs, JobStatus, PartitionResults, QueueStats } from './contract.ts';
import { concatRows, messageRows, messageRowsMax } from './hand-out.ts';
import { readReceivedAt } from './job-row.ts';
import {
  arrives,
  createPartition,
  dropTail,
  endJob,
  isForgettable,
  mayReport,
  type Partition,
  type StoredRow,
} from './partition.ts';
import { pendingOf, queueStats } from './partition-stats.ts';
import { type UnfinishedJobs, unfinishedJobs, unfinishedStatus } from './unfinished-jobs.ts';

/** What a job counts for whose size a restart has forgotten. */
const rowBytesUnknown = 256 * 1024;
/** A partition with work that nobody opened is woken again after this long: the wake-up is an at-most-once message. */
const wakeAgainMs = 1_000;

export interface HandOffOptions {
  reader: JobReader;
  /** False: the message was refused; the consumer is woken again later. */
  hand(queue: QueueName, partition: string, message: HandedJobs): boolean;
  wake(queue: QueueName, partition: string): void;
  /** Highest id such that every job up to it is committed. */
  watermark(): number;
  nowMs(): number;
  /** A read failed (storage away): the caller reports it and calls `resume` when it may be tried again. */
  onReadFailed(error: Error): void;
  bytesMax: number;
  readRowsMax: number;
  readBytesMax: number;
}

export class HandOff {
  readonly #options: HandOffOptions;
  readonly #partitions = new Map<QueueName, Map<string, Partition>>();
  /** Partitions with unfinished jobs and no consumer. */
  readonly #unattended = new Set<Partition>();
  readonly #reads: BacklogReads;
  #bytes = 0;
  /** Nothing is handed out and nobody is woken any more: the lane goes to another process. */
  isPaused = false;

  constructor(options: HandOffOptions) {
    this.#options = options;
    this.#reads = new BacklogReads({
      reader: options.reader,
      watermark: options.watermark,
      readRowsMax: options.readRowsMax,
      readBytesMax: options.readBytesMax,
      rehandRowsMax: messageRowsMax,
      dropTail: (partition) => this.#dropTail(partition),
      onRows: (partition, rows, again) => this.#handRead(partition, rows, again),
      onEnd: (partition) => this.#hand(partition),
      onFailed: options.onReadFailed,
    });
  }

  get bytes(): number {
    return this.#bytes;
  }

  get hasUnattended(): boolean {
    return this.#unattended.size > 0;
  }

  /** Puts a partition back as recovery found it (recovery.ts). */
  restore(found: {
    queue: QueueName;
    key: string;
    cursor: number;
    lastStored: number;
    pending: number;
    pendingBytes: number;
    outstanding: ReadonlyMap<number, JobStatus | undefined>;
  }): void {
    const partition = this.#partition(found.queue, found.key, found.cursor);
    partition.lastStored = found.lastStored;
    partition.pending = found.pending;
    partition.pendingBytes = found.pendingBytes;
    partition.behind = found.lastStored > found.cursor;
    const receivedAtMs = this.#options.nowMs();
    for (const [jobId, status] of found.outstanding)
      partition.outstanding.set(jobId, { receivedAtMs, bytes: rowBytesUnknown, status });
    this.#unattended.add(partition);
  }

  /** A committed row. Rows of one partition come in id order. */
  stored(queue: QueueName, key: string, row: StoredRow): Partition {
    const partition = this.#partition(queue, key, row.jobId - 1);
    partition.pending += 1;
    partition.pendingBytes += row.byteLength;
    partition.lastStored = row.jobId;
    const fits = this.#bytes + row.byteLength <= this.#options.bytesMax;
    if (partition.reading) {
      if (fits && !partition.spilled) this.#keep(partition, row);
      else partition.spilled = true;
    } else if (!partition.behind && fits) this.#keep(partition, row);
    else partition.behind = true;
    return partition;
  }

  /** After a group's rows were all `stored`: serves those who wait, wakes those who do not know yet. */
  serve(partitions: Iterable<Partition>): void {
    for (const partition of partitions) {
      if (partition.session !== 0) this.#hand(partition);
      else {
        if (!partition.isFull) partition.restUntilMs = 0;
        this.#wake(partition);
      }
    }
  }

  open(queue: QueueName, key: string, session: number): void {
    const partition = this.#partition(queue, key, this.#options.watermark());
    partition.session = session;
    partition.demand = 0;
    partition.rehand = [];
    partition.commitsArrived = 0;
    partition.opening = true;
    partition.restUntilMs = 0;
    this.#unattended.delete(partition);
    this.#finishOpening(partition);
  }

  pull(queue: QueueName, key: string, session: number, slots: number): void {
    const partition = this.#find(queue, key);
    if (partition?.session !== session) return;
    partition.demand += slots;
    this.#hand(partition);
  }

  close({ queue, partition: key, session, restUntilMs, isFull }: Omit<ClosePartition, 'kind'>): void {
    const partition = this.#find(queue, key);
    if (partition?.session !== session) return;
    this.#abandon(partition);
    partition.restUntilMs = restUntilMs;
    partition.isFull = isFull;
    if (isForgettable(partition)) this.#forget(partition);
    else if (partition.pending > 0) this.#wake(partition);
  }

  /** False: this is not the next commit of the partition's session, so it must not be tried. */
  arrives({ queue, partition: key, session, sequence }: PartitionResults): boolean {
    const partition = this.#find(queue, key);
    return sequence === undefined || (partition !== undefined && arrives(partition, session, sequence));
  }

  /** True when `session` may report on all of `jobIds`; then they count as being committed until `reported`. */
  beginReport(queue: QueueName, key: string, session: number, jobIds: Iterable<number>): Partition | undefined {
    const partition = this.#find(queue, key);
    if (partition === undefined) return undefined;
    for (const jobId of jobIds) if (!mayReport(partition, session, jobId)) return undefined;
    if (partition.session !== session) return undefined;
    partition.commitsInFlight += 1;
    return partition;
  }

  /** The report's transaction ended. `committed` false leaves every job unfinished. */
  endReport(
    partition: Partition,
    succeeded: Iterable<number>,
    statuses: readonly JobStatus[],
    committed: boolean,
  ): void {
    partition.commitsInFlight -= 1;
    if (committed) {
      for (const jobId of succeeded) this.#finish(partition, jobId, 'succeeded');
      for (const status of statuses) {
        const outstanding = partition.outstanding.get(status.jobId);
        // What the destination said is on disk; kept here it could be ten kilobytes for every job that waits.
        if (outstanding !== undefined) outstanding.status = { ...status, response: '' };
        this.#finish(partition, status.jobId, status.state);
      }
    }
    if (partition.opening) this.#finishOpening(partition);
    if (isForgettable(partition)) this.#forget(partition);
  }

  /** Wakes what was woken in vain. Call about once a second while `hasUnattended`. */
  sweep(): void {
    const now = this.#options.nowMs();
    for (const partition of [...this.#unattended]) {
      if (now - partition.wokenAtMs >= wakeAgainMs) this.#wake(partition);
    }
  }

  /** A thread was lost: its consumers are gone without a word. Those alive ignore the wake-up. */
  wakeAll(): void {
    if (this.isPaused) return;
    const now = this.#options.nowMs();
    for (const { queue, key, pending, restUntilMs } of this.all()) {
      if (pending > 0 && now >= restUntilMs) this.#options.wake(queue, key);
    }
  }

  /** Partitions that a consumer has open. */
  attended(): Partition[] {
    return [...this.all()].filter((partition) => partition.session !== 0);
  }

  /** Tries reads again after `onReadFailed`. */
  resume(): void {
    for (const partition of this.all()) if (partition.session !== 0) this.#hand(partition);
  }

  /** Unfinished jobs of a queue. */
  pending(queue: QueueName): number {
    return pendingOf(this.#partitions, queue);
  }

  /** Unfinished jobs of a queue from `firstId` to `lastId`. */
  unfinished(queue: QueueName, firstId: number, lastId: number): UnfinishedJobs {
    return unfinishedJobs(this.#partitions.get(queue)?.values() ?? [], firstId, lastId);
  }

  /** True while a consumer that has the partition open holds the job. */
  isHandedOut(queue: QueueName, key: string, jobId: number): boolean {
    const partition = this.#find(queue, key);
    return partition !== undefined && partition.session !== 0 && partition.outstanding.has(jobId);
  }

  /** See `unfinishedStatus`. */
  isUnfinished(queue: QueueName, key: string, jobId: number): JobStatus | true | undefined {
    return unfinishedStatus(this.#find(queue, key), jobId);
  }

  stats(): QueueStats[] {
    return queueStats(this.#partitions, this.#options.nowMs());
  }

  /** All it knows of, of every queue. */
  *all(): Iterable<Partition> {
    for (const partitions of this.#partitions.values()) yield* partitions.values();
  }

  #find(queue: QueueName, key: string): Partition | undefined {
    return this.#partitions.get(queue)?.get(key);
  }

  #partition(queue: QueueName, key: string, cursor: number): Partition {
    let partitions = this.#partitions.get(queue);
    if (partitions === undefined) {
      partitions = new Map();
      this.#partitions.set(queue, partitions);
    }
    let partition = partitions.get(key);
    if (partition === undefined) {
      partition = createPartition(queue, key, cursor);
      partitions.set(key, partition);
    }
    return partition;
  }

  #forget(partition: Partition): void {
    this.#unattended.delete(partition);
    this.#reads.forget(partition);
    this.#dropTail(partition);
    this.#partitions.get(partition.queue)?.delete(partition.key);
  }

  #keep(partition: Partition, row: StoredRow): void {
    partition.tail.push(row);
    partition.tailBytes += row.byteLength;
    this.#bytes += row.byteLength;
  }

  #wake(partition: Partition): void {
    this.#unattended.add(partition);
    const now = this.#options.nowMs();
    if (this.isPaused || now - partition.wokenAtMs < wakeAgainMs || now < partition.restUntilMs) return;
    partition.wokenAtMs = now;
    this.#options.wake(partition.queue, partition.key);
  }

  #abandon(partition: Partition): void {
    partition.session = 0;
    partition.demand = 0;
    partition.rehand = [];
    partition.opening = false;
    partition.wokenAtMs = 0;
  }

  /** The jobs of older sessions come again, but only once it is known which of them were finished. */
  #finishOpening(partition: Partition): void {
    if (partition.commitsInFlight > 0) return;
    partition.opening = false;
    partition.rehand = [...partition.outstanding.keys()].sort((a, b) => a - b);
    this.#hand(partition);
  }

  #finish(partition: Partition, jobId: number, state: JobState): void {
    if (!isTerminal(state)) return;
    if (partition.outstanding.delete(jobId)) endJob(partition);
    if (partition.pending === 0) this.#unattended.delete(partition);
  }

  #hand(partition: Partition): void {
    while (
      !this.isPaused &&
      partition.session !== 0 &&
      partition.demand > 0 &&
      !partition.opening &&
      !partition.reading
    ) {
      if (partition.rehand.length > 0 || (partition.tail.length === 0 && partition.behind)) {
        this.#reads.queue(partition);
        return;
      }
      if (partition.tail.length === 0) return;
      const rows = partition.tail.splice(0, messageRows(partition.tail, 0, partition.demand));
      for (const row of rows) {
        partition.tailBytes -= row.byteLength;
        this.#bytes -= row.byteLength;
      }
      if (!this.#handRows(partition, rows, partition.cursor)) return;
    }
  }

  /** Sends rows; when refused, the session counts as lost and the rows as never handed out. */
  #handRows(partition: Partition, rows: readonly StoredRow[], afterId: number): boolean {
    const statuses: JobStatus[] = [];
    for (const row of rows) {
      const known = partition.outstanding.get(row.jobId);
      if (known?.status !== undefined) statuses.push(known.status);
    }
    const bytes = concatRows(rows);
    const message: HandedJobs = {
      kind: 'jobs',
      session: partition.session,
      rows: bytes,
      count: rows.length,
      afterId,
      statuses,
    };
    if (!this.#options.hand(partition.queue, partition.key, message)) {
      this.#dropTail(partition);
      partition.behind = partition.lastStored > partition.cursor;
      this.#abandon(partition);
      this.#unattended.add(partition);
      return false;
    }
    partition.demand -= rows.length;
    for (const row of rows) {
      if (!partition.outstanding.has(row.jobId)) {
        partition.outstanding.set(row.jobId, {
          receivedAtMs: readReceivedAt(row.source, row.start),
          bytes: row.byteLength,
          status: undefined,
        });
      }
      if (row.jobId > partition.cursor) partition.cursor = row.jobId;
    }
    return true;
  }

  #handRead(partition: Partition, rows: readonly StoredRow[], again: boolean): void {
    let at = 0;
    while (at < rows.length) {
      const end = at + messageRows(rows, at, rows.length);
      if (!this.#handRows(partition, rows.slice(at, end), again ? -1 : partition.cursor)) return;
      at = end;
    }
  }

  #dropTail(partition: Partition): void {
    this.#bytes -= dropTail(partition);
  }
}
