// How long a drain may still take. The deadline can only come nearer: a second signal means "now". Each group of
// threads may use what is left except a reserve for the groups after it, so that the last one, which holds the storage,
// always gets to commit.

import type { Clock, Timer } from './seams.ts';

/** Share of the first deadline kept for each later group. */
const reserveShare = 0.2;

export class DrainClock {
  readonly #clock: Clock;
  readonly #reserveMs: number;
  #endsMs: number;
  #timer: Timer | undefined;
  #cut: () => void = () => undefined;
  /** Resolves `graceMs` after the deadline, wherever that was moved to. */
  readonly expired: Promise<void>;
  readonly #graceMs: number;

  constructor(clock: Clock, deadlineMs: number, graceMs: number) {
    this.#clock = clock;
    this.#reserveMs = deadlineMs * reserveShare;
    this.#graceMs = graceMs;
    this.#endsMs = Number.POSITIVE_INFINITY;
    this.expired = new Promise((resolve) => {
      this.#cut = resolve;
    });
    this.shorten(deadlineMs);
  }

  /** Moves the deadline to `deadlineMs` from now, if that is sooner. True when it is. */
  shorten(deadlineMs: number): boolean {
    const endsMs = this.#clock.monotonicMs() + deadlineMs;
    if (endsMs >= this.#endsMs) return false;
    this.#endsMs = endsMs;
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(deadlineMs + this.#graceMs, () => this.#cut());
    return true;
  }

  remainingMs(): number {
    return Math.max(0, this.#endsMs - this.#clock.monotonicMs());
  }

  /** What a group may take when `laterGroups` come after it. */
  shareMs(laterGroups: number): number {
    return Math.max(0, this.remainingMs() - this.#reserveMs * laterGroups);
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
