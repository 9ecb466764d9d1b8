// Reads jobs back for partitions that are behind, and jobs that must be handed out again. Reads of many partitions are
// multiplexed into few statements, in the order in which partitions asked; nobody polls.
//
// A read covers ids up to a watermark taken in the turn in which it starts. Rows committed later go to the partition's
// tail, so that after a complete read the tail follows without a gap; if they did not fit, the partition stays behind.

import type { QueueName } from '../job.ts';
import type { Partition, StoredRow } from './partition.ts';

/** Partitions served by one statement. */
const readPartitionsMax = 512;

export interface RangeRead {
  partition: string;
  afterId: number;
  limit: number;
  /** Rows end with the one that reaches so many bytes. */
  bytesMax: number;
}

/** Jobs of one partition. */
export interface IdRead {
  partition: string;
  jobIds: readonly number[];
}

/** Reads committed rows back. Both answer the rows of a partition ascending by id. */
export interface JobReader {
  readRanges(queue: QueueName, ranges: readonly RangeRead[], upToId: number): Promise<Map<string, StoredRow[]>>;
  readIds(queue: QueueName, wanted: readonly IdRead[]): Promise<Map<number, StoredRow>>;
}

export interface BacklogReadsOptions {
  reader: JobReader;
  /** Highest id such that every job up to it is committed. */
  watermark(): number;
  /** Rows of one statement, over all its partitions. */
  readRowsMax: number;
  /** Bytes of one statement, about: every partition may go beyond its share by one row. */
  readBytesMax: number;
  /** Jobs of one partition that are handed out again at once. */
  rehandRowsMax: number;
  dropTail(partition: Partition): void;
  /** Rows for the session that asked. `again`: they were handed out before, to another session. */
  onRows(partition: Partition, rows: readonly StoredRow[], again: boolean): void;
  /** The read is over, whether or not it brought rows. */
  onEnd(partition: Partition): void;
  /** Storage is away; the partitions asked for are not served until they are queued again. */
  onFailed(error: Error): void;
}

export class BacklogReads {
  readonly #options: BacklogReadsOptions;
  readonly #queue = new Set<Partition>();
  #running = false;

  constructor(options: BacklogReadsOptions) {
    this.#options = options;
  }

  queue(partition: Partition): void {
    this.#queue.add(partition);
    if (this.#running) return;
    this.#running = true;
    // Never rejects: a failed read is reported through onFailed.
    void this.#run();
  }

  forget(partition: Partition): void {
    this.#queue.delete(partition);
  }

  async #run(): Promise<void> {
    while (this.#queue.size > 0) {
      const upToId = this.#options.watermark();
      const round = this.#nextRound();
      try {
        await this.#readRound(round, upToId);
      } catch (error) {
        for (const partition of round) this.#end(partition, false);
        this.#queue.clear();
        this.#running = false;
        this.#options.onFailed(error instanceof Error ? error : new Error(String(error)));
        return;
      }
    }
    this.#running = false;
  }

  /** The next partitions of one queue, in the order in which they asked. */
  #nextRound(): Partition[] {
    const round: Partition[] = [];
    for (const partition of this.#queue) {
      if (round.length >= readPartitionsMax) break;
      if (round[0] !== undefined && round[0].queue !== partition.queue) continue;
      this.#queue.delete(partition);
      if (partition.session === 0 || partition.demand === 0 || partition.opening) continue;
      round.push(partition);
    }
    for (const partition of round) {
      partition.reading = true;
      // Reading jobs again says nothing about what follows the cursor, so the tail does not grow meanwhile.
      partition.spilled = partition.rehand.length > 0;
      if (!partition.spilled) this.#options.dropTail(partition);
    }
    return round;
  }

  async #readRound(round: readonly Partition[], upToId: number): Promise<void> {
    const queue = round[0]?.queue;
    if (queue === undefined) return;
    const again = round.filter((one) => one.rehand.length > 0);
    const behind = round.filter((one) => one.rehand.length === 0);
    if (again.length > 0) await this.#readAgain(queue, again);
    if (behind.length > 0) await this.#readBehind(queue, behind, upToId);
  }

  async #readAgain(queue: QueueName, partitions: readonly Partition[]): Promise<void> {
    let bytesLeft = this.#options.readBytesMax;
    const wanted = partitions.map((one) => {
      const jobIds: number[] = [];
      for (const jobId of one.rehand.slice(0, Math.min(one.demand, this.#options.rehandRowsMax))) {
        // Those that do not fit stay in line for the next round; the first of all always fits.
        if (bytesLeft <= 0) break;
        bytesLeft -= one.outstanding.get(jobId)?.bytes ?? 0;
        jobIds.push(jobId);
      }
      return { partition: one, session: one.session, jobIds };
    });
    const rows = await this.#options.reader.readIds(
      queue,
      wanted.map(({ partition, jobIds }) => ({ partition: partition.key, jobIds })),
    );
    for (const { partition, session, jobIds } of wanted) {
      this.#end(partition, false);
      if (isSame(partition, session)) {
        partition.rehand.splice(0, jobIds.length);
        const found = jobIds.flatMap((jobId) => rows.get(jobId) ?? []);
        this.#options.onRows(partition, found, true);
      }
      this.#options.onEnd(partition);
    }
  }

  async #readBehind(queue: QueueName, partitions: readonly Partition[], upToId: number): Promise<void> {
    const share = Math.max(1, Math.ceil(this.#options.readRowsMax / partitions.length));
    const bytesMax = Math.max(1, Math.floor(this.#options.readBytesMax / partitions.length));
    const wanted = partitions.map((one) => ({
      partition: one,
      session: one.session,
      range: { partition: one.key, afterId: one.cursor, limit: Math.min(one.demand, share), bytesMax },
    }));
    const rows = await this.#options.reader.readRanges(
      queue,
      wanted.map((one) => one.range),
      upToId,
    );
    for (const { partition, session, range } of wanted) {
      const found = rows.get(partition.key) ?? [];
      const same = isSame(partition, session);
      const bytes = found.reduce((sum, row) => sum + row.byteLength, 0);
      this.#end(partition, same && found.length < range.limit && bytes < range.bytesMax);
      if (same) this.#options.onRows(partition, found, false);
      this.#options.onEnd(partition);
    }
  }

  /** `complete`: everything up to the watermark was read, so the tail that grew meanwhile follows it. */
  #end(partition: Partition, complete: boolean): void {
    partition.reading = false;
    if (complete && !partition.spilled) partition.behind = false;
    else {
      this.#options.dropTail(partition);
      partition.behind = partition.lastStored > partition.cursor;
    }
  }
}

function isSame(partition: Partition, session: number): boolean {
  return partition.session === session && !partition.opening;
}
