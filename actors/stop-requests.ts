// Who asked the program to stop, and how urgently: the first signal or failure drains, a second signal cuts that short.
// Ctrl-C under `npm start` arrives twice, once from the terminal and once passed on by npm; a person asks once.

/** Nobody presses Ctrl-C twice within this; npm passes it on at once. */
const sameKeyPressMs = 250;

export class StopRequests {
  /** Undefined for a signal, else why the program cannot go on. */
  readonly first: Promise<string | undefined>;
  readonly second: Promise<void>;
  readonly #monotonicMs: () => number;
  #settleFirst: (reason: string | undefined) => void = () => undefined;
  #settleSecond: () => void = () => undefined;
  #asked = 0;
  #interruptedMs = Number.NEGATIVE_INFINITY;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
    this.first = new Promise((resolve) => {
      this.#settleFirst = resolve;
    });
    this.second = new Promise((resolve) => {
      this.#settleSecond = resolve;
    });
  }

  signal(name: 'SIGTERM' | 'SIGINT'): void {
    if (name === 'SIGINT') {
      const nowMs = this.#monotonicMs();
      const isSameKeyPress = nowMs - this.#interruptedMs < sameKeyPressMs;
      this.#interruptedMs = nowMs;
      if (isSameKeyPress) return;
    }
    this.#asked += 1;
    if (this.#asked === 1) this.#settleFirst(undefined);
    else this.#settleSecond();
  }

  fail(reason: string): void {
    this.#settleFirst(reason);
  }
}
