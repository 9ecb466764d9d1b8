// Decides that a thread is stuck. Its scheduler bumps a counter in shared memory each turn, which costs nothing to read;
// only when the counter stands still is the thread asked to answer, because an idle thread takes no turns either.
// Checks are counted, not time: after a pause of the whole process nobody is to blame.

export interface StallWatchOptions {
  heartbeat: Int32Array;
  /** Resolves when the thread answered; a thread that is stuck never does. */
  probe(): Promise<void>;
  /** This many checks in a row without a turn and without an answer are a stall. */
  checksMax: number;
}

export class StallWatch {
  readonly #options: StallWatchOptions;
  #lastBeat: number;
  #missed = 0;
  #asked = false;

  constructor(options: StallWatchOptions) {
    this.#options = options;
    this.#lastBeat = Atomics.load(options.heartbeat, 0);
  }

  /** True while the last checks found no sign of life. */
  get stalled(): boolean {
    return this.#missed >= this.#options.checksMax;
  }

  /** Called at a steady pace. True exactly once per stall. */
  check(): boolean {
    const beat = Atomics.load(this.#options.heartbeat, 0);
    if (beat !== this.#lastBeat) {
      this.#lastBeat = beat;
      this.#missed = 0;
      return false;
    }
    if (!this.#asked) {
      this.#ask();
      return false;
    }
    this.#missed += 1;
    return this.#missed === this.#options.checksMax;
  }

  #ask(): void {
    this.#asked = true;
    this.#options.probe().then(
      () => {
        this.#asked = false;
        this.#missed = 0;
      },
      () => {
        // No answer in time, or the thread ended: the next check asks again, and what was missed stays missed.
        this.#asked = false;
      },
    );
  }
}
