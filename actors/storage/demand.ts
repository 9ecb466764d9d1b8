// How many more jobs a consumer may ask for. Slots alone do not bound memory, because a job may be a hundred bytes or
// some megabytes: demand is also bounded by the bytes the partition holds and by those all partitions of the thread
// hold together. Sizes are known only once jobs have come, so the first demand is small and later ones go by the mean.

import type { Job } from '../job.ts';

/** Follows the memory there is (adaptive-limit.ts). */
export interface LimitShare {
  /** 0 to 1. */
  readonly share: number;
}

const unlimited: LimitShare = { share: 1 };

/** Shared by all partitions of one kind on a thread. */
export class BytesBudget {
  readonly bytesMax: number;
  bytes = 0;
  readonly #limit: LimitShare;

  constructor(bytesMax: number, limit: LimitShare = unlimited) {
    this.bytesMax = bytesMax;
    this.#limit = limit;
  }

  /** What of all limits may be used now. */
  get share(): number {
    return this.#limit.share;
  }
}

export interface DemandLimits {
  /** Jobs held and asked for. */
  slots: number;
  /** Bytes of the jobs one partition holds, and expects by its demand. */
  bytesMax: number;
  budget: BytesBudget;
}

/** Asked for before anything is known about the size of the jobs: of the largest events, what fits one message. */
const firstDemandMax = 8;
/** Share of the newest hand-out in the mean size. */
const newestShare = 0.25;
/** Objects and strings around a job's bytes. */
const overheadBytes = 512;

export class Demand {
  readonly #limits: DemandLimits;
  #asked = 0;
  #held = 0;
  #heldBytes = 0;
  /** 0 = not known yet. */
  #meanBytes = 0;

  constructor(limits: DemandLimits) {
    this.#limits = limits;
  }

  handed(count: number, bytes: number): void {
    if (count === 0) return;
    this.#asked = Math.max(0, this.#asked - count);
    this.#held += count;
    this.#heldBytes += bytes;
    this.#limits.budget.bytes += bytes;
    const mean = bytes / count;
    this.#meanBytes = this.#meanBytes === 0 ? mean : this.#meanBytes * (1 - newestShare) + mean * newestShare;
  }

  released(count: number, bytes: number): void {
    this.#held -= count;
    this.#heldBytes -= bytes;
    this.#limits.budget.bytes -= bytes;
  }

  /** How many more jobs to ask for now; they count as asked for. */
  take(): number {
    const more = this.#more();
    this.#asked += more;
    return more;
  }

  /** The session ended: nothing is held or asked for. It may have ended over a size nobody expected: begin small. */
  reset(): void {
    this.#limits.budget.bytes -= this.#heldBytes;
    this.#asked = 0;
    this.#held = 0;
    this.#heldBytes = 0;
    this.#meanBytes = 0;
  }

  /** No room for even one job of the usual size, whatever others hold. */
  get isFull(): boolean {
    const { slots, bytesMax } = this.#limits;
    return this.#held >= slots || this.#heldBytes + this.#meanBytes > bytesMax;
  }

  #more(): number {
    const { slots, bytesMax, budget } = this.#limits;
    const { share } = budget;
    const free = Math.max(1, Math.floor(slots * share)) - this.#held - this.#asked;
    if (free <= 0) return 0;
    if (this.#meanBytes === 0) return this.#asked > 0 ? 0 : Math.min(free, firstDemandMax);
    const roomHere = bytesMax * share - this.#heldBytes;
    const room = Math.min(roomHere, budget.bytesMax * share - budget.bytes) - this.#asked * this.#meanBytes;
    const fitting = Math.min(free, Math.floor(room / this.#meanBytes));
    if (fitting > 0) return fitting;
    // A job larger than every limit, or a budget used up by others: one at a time still goes on.
    return this.#held === 0 && this.#asked === 0 ? 1 : 0;
  }
}

/** What a job counts for, the same when it comes and when it leaves. */
export function bytesOf(job: Job): number {
  return job.payload.byteLength + job.parameters.length + overheadBytes;
}
