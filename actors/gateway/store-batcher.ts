// Collects the rows of all requests of one turn of the event loop and stores them with one ask per storage lane: the
// hop between threads is paid once per turn, not once per request. Every request is answered from the reply, which
// comes after the commit.
//
// A batch: filling (this turn) -> committing -> settled. A batch whose data Postgres refuses is sent again request by
// request, and a refused request in halves, so that only the offending rows fail.

import type { ActorLog, ActorRef } from '../../runtime/index.ts';
import type {
  Commit,
  CommitReply,
  JobRunDelta,
  JobRunReport,
  LedgerDelta,
  StorageMessage,
} from '../storage/contract.ts';
import { JobRowWriter, rowOffsets } from '../storage/job-row.ts';
import type { Admission } from './admission.ts';

/** A batch this large is sent before the turn ends, so that it fits the links and mailboxes on its way. */
const batchBytesMax = 4 * 1024 * 1024;

/** `unavailable`: not stored, or not known to be; the client shall send again. */
export type StoreOutcome = 'stored' | 'unavailable' | 'refused';

export interface StoreRequest {
  readonly sourceId: string;
  /** Epoch minute in which the events were received. */
  readonly minute: number;
  /** Events that are counted and not stored. */
  readonly suppressed?: number;
  /** The job run all of its events belong to, if any. */
  readonly jobRun?: { readonly jobRunId: string; readonly taskRunId: string } | undefined;
  /** Appends the rows of the request; none when all its events are suppressed. */
  write(writer: JobRowWriter): void;
  /**
   * Called once, unless `write` threw; never from within `store`. `refusedRows`: of a `stored` request, the rows that
   * Postgres did not take, by their place in it.
   */
  settle(outcome: StoreOutcome, refusedRows?: readonly number[]): void;
}

export interface StoreBatcherOptions {
  storage(lane: string): ActorRef<StorageMessage>;
  /** Runs the callback at the end of this turn of the loop. */
  atTurnEnd(run: () => void): void;
  timeoutMs: number;
  /** Row bytes that wait for a commit. */
  bytesMax: number;
  /** Told about every commit. */
  admission: Pick<Admission, 'sent' | 'settled'>;
  log: ActorLog;
}

interface StoredRange {
  readonly request: StoreRequest;
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

interface Batch {
  readonly lane: string;
  readonly writer: JobRowWriter;
  ranges: StoredRange[];
}

export class StoreBatcher {
  readonly #options: StoreBatcherOptions;
  readonly #filling = new Map<string, Batch>();
  #bytesWaiting = 0;
  #turnEndAsked = false;
  /** Commits that failed in a row; the first and the end of the row are logged, not each. */
  #failures = 0;

  constructor(options: StoreBatcherOptions) {
    this.#options = options;
  }

  get bytesWaiting(): number {
    return this.#bytesWaiting;
  }

  /** Whether a request of about this size may be stored now; false is to be answered with 503. One always fits. */
  hasRoom(bytes: number): boolean {
    return this.#bytesWaiting === 0 || this.#bytesWaiting + bytes <= this.#options.bytesMax;
  }

  store(lane: string, request: StoreRequest): void {
    const batch = this.#batchOf(lane);
    const { writer } = batch;
    const start = writer.byteLength;
    const countBefore = writer.count;
    try {
      request.write(writer);
    } catch (error) {
      this.#abandon(batch);
      throw error;
    }
    const end = writer.byteLength;
    batch.ranges.push({ request, start, end, count: writer.count - countBefore });
    this.#bytesWaiting += end - start;
    if (end >= batchBytesMax) this.#send(batch);
    else this.#askForTurnEnd();
  }

  #batchOf(lane: string): Batch {
    const known = this.#filling.get(lane);
    if (known !== undefined) return known;
    const batch: Batch = { lane, writer: new JobRowWriter(), ranges: [] };
    this.#filling.set(lane, batch);
    return batch;
  }

  /** Half a request is in the writer: none of its neighbours' rows can be told apart safely, so they are sent again. */
  #abandon(batch: Batch): void {
    this.#filling.delete(batch.lane);
    for (const { request, start, end } of batch.ranges) {
      this.#bytesWaiting -= end - start;
      request.settle('unavailable');
    }
  }

  #askForTurnEnd(): void {
    if (this.#turnEndAsked) return;
    this.#turnEndAsked = true;
    this.#options.atTurnEnd(() => {
      this.#turnEndAsked = false;
      for (const batch of this.#filling.values()) if (batch.ranges.length > 0) this.#send(batch);
    });
  }

  #send(batch: Batch): void {
    const { ranges } = batch;
    const { rows } = batch.writer.take();
    batch.ranges = [];
    // A writer that had to grow for one huge request gives its memory back.
    if (rows.byteLength > 2 * batchBytesMax) this.#filling.delete(batch.lane);
    this.#commit(batch.lane, rows, ranges);
  }

  #commit(lane: string, rows: Uint8Array, ranges: readonly StoredRange[]): void {
    let count = 0;
    for (const range of ranges) count += range.count;
    const jobs = count === 0 ? [] : [{ queue: 'gw' as const, rows, count }];
    const commit: Commit = { kind: 'commit', jobs, results: [], ledger: ledgerOf(ranges), ...jobRunsOf(ranges) };
    const settled = (reply: CommitReply) => this.#settle(lane, rows, ranges, reply);
    const failed = (error: unknown) => this.#fail(rows, ranges, error);
    // Both handlers are the end of this promise; neither throws.
    void this.#ask(lane, commit).then(settled, failed);
  }

  /** Async, so that a throw is a rejection like any other. */
  async #ask(lane: string, commit: Commit): Promise<CommitReply> {
    const { admission, timeoutMs } = this.#options;
    const sentAtMs = admission.sent();
    let isWell = false;
    try {
      const reply = await this.#options.storage(lane).ask<CommitReply>(commit, { timeoutMs });
      isWell = reply.kind !== 'stale';
      return reply;
    } finally {
      admission.settled(sentAtMs, isWell);
    }
  }

  #settle(lane: string, rows: Uint8Array, ranges: readonly StoredRange[], reply: CommitReply): void {
    this.#noteRecovery();
    if (reply.kind === 'refused' && ranges.length > 1) {
      this.#commitOneByOne(lane, rows, ranges);
      return;
    }
    const [only] = ranges;
    if (reply.kind === 'refused' && only !== undefined) {
      this.#options.log.error({ sqlState: reply.sqlState, reason: reply.reason }, 'Postgres refused events');
      if (only.count > 1) {
        this.#commitInHalves(lane, rows, only);
        return;
      }
    }
    const outcome: StoreOutcome =
      reply.kind === 'committed' ? 'stored' : reply.kind === 'refused' ? 'refused' : 'unavailable';
    this.#release(rows, ranges, outcome);
  }

  #commitInHalves(lane: string, rows: Uint8Array, range: StoredRange): void {
    const refused: number[] = [];
    const settled = (isStored: boolean): void => {
      this.#bytesWaiting -= rows.byteLength;
      if (!isStored) range.request.settle('unavailable');
      else if (refused.length === range.count) range.request.settle('refused');
      else range.request.settle('stored', refused);
    };
    // Both handlers are the end of this promise; neither throws.
    void this.#commitPieces(lane, rows, range.request, refused).then(settled, () => settled(false));
  }

  /** Commits what Postgres takes of one request, in order, and notes the rows it does not. False: it went away. */
  async #commitPieces(lane: string, rows: Uint8Array, request: StoreRequest, refused: number[]): Promise<boolean> {
    const offsets = rowOffsets(rows);
    const count = offsets.length - 1;
    const middle = count >>> 1;
    const pieces: [number, number][] = [
      [0, middle],
      [middle, count],
    ];
    // Counted with the first piece that is kept.
    let suppressed = request.suppressed ?? 0;
    for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
      const [from, to] = piece;
      const own = rows.slice(offsets[from], offsets[to]);
      const jobs = [{ queue: 'gw' as const, rows: own, count: to - from }];
      const part = [{ request: { ...request, suppressed }, count: to - from }];
      const counted = { ledger: ledgerOf(part), ...jobRunsOf(part) };
      const reply = await this.#ask(lane, { kind: 'commit', jobs, results: [], ...counted });
      if (reply.kind === 'stale') return false;
      if (reply.kind === 'committed') {
        suppressed = 0;
        continue;
      }
      const half = from + ((to - from) >>> 1);
      if (to - from === 1) refused.push(from);
      else pieces.unshift([from, half], [half, to]);
    }
    return true;
  }

  #commitOneByOne(lane: string, rows: Uint8Array, ranges: readonly StoredRange[]): void {
    for (const range of ranges) {
      const own = rows.subarray(range.start, range.end);
      this.#commit(lane, own, [{ ...range, start: 0, end: own.byteLength }]);
    }
  }

  #fail(rows: Uint8Array, ranges: readonly StoredRange[], error: unknown): void {
    this.#failures += 1;
    if (this.#failures === 1) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      this.#options.log.warn({ code, reason: String(error) }, 'storage is unavailable; clients are told to send again');
    }
    this.#release(rows, ranges, 'unavailable');
  }

  #noteRecovery(): void {
    if (this.#failures === 0) return;
    this.#options.log.info({ commits: this.#failures }, 'storage is available again; that many commits had failed');
    this.#failures = 0;
  }

  #release(rows: Uint8Array, ranges: readonly StoredRange[], outcome: StoreOutcome): void {
    this.#bytesWaiting -= rows.byteLength;
    for (const range of ranges) range.request.settle(outcome);
  }
}

/** What came in for job runs; nearly no request belongs to one. */
function jobRunsOf(ranges: readonly Pick<StoredRange, 'request' | 'count'>[]): { jobRuns?: JobRunReport } {
  const counts: JobRunDelta[] = [];
  for (const { request, count } of ranges) {
    if (request.jobRun === undefined) continue;
    const { jobRunId, taskRunId } = request.jobRun;
    counts.push({ jobRunId, taskRunId, sourceId: request.sourceId, destinationId: '', in: count, out: 0, failed: 0 });
  }
  return counts.length === 0 ? {} : { jobRuns: { counts, failed: [] } };
}

/** What the requests add to the ledger, one entry per source, minute and counter. */
function ledgerOf(ranges: readonly Pick<StoredRange, 'request' | 'count'>[]): LedgerDelta[] {
  const deltas: LedgerDelta[] = [];
  const byKey = new Map<string, LedgerDelta>();
  const add = ({ sourceId, minute }: StoreRequest, kind: 'accepted' | 'suppressed', count: number): void => {
    const key = `${minute}/${kind}/${sourceId}`;
    const known = byKey.get(key);
    if (known !== undefined) {
      known.count += count;
      return;
    }
    const delta: LedgerDelta = { minute, sourceId, destinationId: '', kind, count };
    byKey.set(key, delta);
    deltas.push(delta);
  };
  for (const { request, count } of ranges) {
    const suppressed = request.suppressed ?? 0;
    add(request, 'accepted', count + suppressed);
    if (suppressed > 0) add(request, 'suppressed', suppressed);
  }
  return deltas;
}
