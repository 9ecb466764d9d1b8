// Asks again and again, the way every service that follows somebody else's state does: one round at a time, the next
// one a jittered interval after the last has ended, and further apart while it fails, so that a server that comes back
// is not met by everybody at once. A round never ends the loop, whatever it throws.
//
//   waiting → running   the interval is over, or `now` was called
//   running → waiting   the round ended
//   any → closed        `close`; a round under way is waited for

import type { Clock, Random, Timer } from '../../runtime/index.ts';

export interface PollLoopOptions {
  everyMs: number;
  /** Longest pause after failures; never below `everyMs`. */
  pauseMsMax?: number;
  clock: Clock;
  random: Random;
  /** One round. False, or a rejection, is a failure; the round itself says which (service-health.ts). */
  run(): Promise<boolean>;
  /** For what `run` did not expect itself. */
  onError(error: unknown): void;
}

/** Intervals vary by this share in both directions. */
const jitterShare = 0.1;
const pauseMsMaxDefault = 60_000;

export class PollLoop {
  readonly #options: PollLoopOptions;
  #timer: Timer | undefined;
  #running: Promise<boolean> | undefined;
  #failures = 0;
  #closed = false;

  constructor(options: PollLoopOptions) {
    this.#options = options;
  }

  /** The first round begins at once. */
  start(): void {
    void this.now();
  }

  /** One round now, or the one under way. Resolves to whether it succeeded. */
  now(): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false);
    this.#timer?.cancel();
    this.#running ??= this.#round();
    return this.#running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #round(): Promise<boolean> {
    let succeeded = false;
    try {
      succeeded = await this.#options.run();
    } catch (error) {
      this.#options.onError(error);
    }
    this.#failures = succeeded ? 0 : this.#failures + 1;
    this.#running = undefined;
    if (!this.#closed) this.#timer = this.#options.clock.setTimer(this.#pauseMs(), () => void this.now());
    return succeeded;
  }

  #pauseMs(): number {
    const { everyMs, random, pauseMsMax = pauseMsMaxDefault } = this.#options;
    const grown = everyMs * 2 ** Math.min(Math.max(0, this.#failures - 1), 16);
    const pauseMs = Math.max(everyMs, Math.min(grown, pauseMsMax));
    return pauseMs * (1 - jitterShare + 2 * jitterShare * random.next());
  }
}
