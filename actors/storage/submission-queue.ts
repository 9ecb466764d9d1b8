// What waits for a lane's writer, in the order of arrival, and which of it makes the next group. Bounded by time while
// Postgres is away: what nobody waits for any more is not stored later.

import type { LaneOptions, Submission } from './lane-options.ts';
import type { RefusalOrder } from './refusal-order.ts';

/** While nothing can be written, this often is looked for submissions that nobody waits for any more. */
const expiryLookMs = 1_000;

export type QueueOptions<Tag> = Pick<
  LaneOptions<Tag>,
  'nowMs' | 'groupRowsMax' | 'groupBytesMax' | 'onExpired' | 'onBehind'
>;

export class SubmissionQueue<Tag> {
  readonly #options: QueueOptions<Tag>;
  readonly #refusals: RefusalOrder;
  #waiting: Submission<Tag>[] = [];
  #bytes = 0;
  #expiryLookAtMs = 0;

  constructor(options: QueueOptions<Tag>, refusals: RefusalOrder) {
    this.#options = options;
    this.#refusals = refusals;
  }

  get length(): number {
    return this.#waiting.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(submission: Submission<Tag>): void {
    this.#waiting.push(submission);
    this.#bytes += submission.bytes;
    this.#dropExpired();
  }

  /** The next group; empty when all that waited has expired. */
  takeGroup(): Submission<Tag>[] {
    const nowMs = this.#options.nowMs();
    const group: Submission<Tag>[] = [];
    let rows = 0;
    let bytes = 0;
    let taken = 0;
    for (const submission of this.#waiting) {
      const isFull = rows + submission.rows > this.#options.groupRowsMax || bytes > this.#options.groupBytesMax;
      if (group.length > 0 && isFull) break;
      taken += 1;
      if (this.#expire(submission, nowMs)) continue;
      if (this.sendBack(submission)) {
        this.#bytes -= submission.bytes;
        continue;
      }
      rows += submission.rows;
      bytes += submission.bytes;
      group.push(submission);
    }
    this.#bytes -= bytes;
    this.#waiting.splice(0, taken);
    return group;
  }

  /** Everything, because the lane is over. */
  takeAll(): Submission<Tag>[] {
    this.#bytes = 0;
    return this.#waiting.splice(0);
  }

  /** True when it was, because it stands behind a refused one of its session. */
  sendBack(submission: Submission<Tag>): boolean {
    if (!this.#refusals.isBehind(submission.commit)) return false;
    this.#options.onBehind(submission);
    return true;
  }

  /** Keeps the queue bounded while Postgres is away: the gateway's room is free again once it has given up. */
  #dropExpired(): void {
    const nowMs = this.#options.nowMs();
    if (nowMs < this.#expiryLookAtMs) return;
    this.#expiryLookAtMs = nowMs + expiryLookMs;
    this.#waiting = this.#waiting.filter((submission) => !this.#expire(submission, nowMs));
  }

  /**
   * Events that were answered 503 are not stored later. Results are: a partition's later ones may stand behind them in
   * the queue, and jobs must be stored in the order in which they were made.
   */
  #expire(submission: Submission<Tag>, nowMs: number): boolean {
    if (submission.commit.results.length > 0 || submission.deadlineMs > nowMs) return false;
    this.#bytes -= submission.bytes;
    this.#options.onExpired(submission);
    return true;
  }
}
