// Whether a request may come in now, decided before anything is read of it. The gateway refuses with 503 and Retry-After
// while there is still room for what it has accepted, instead of letting every client wait for a commit that will not
// come.
//
// States, from what commits tell:
//   open      commits end in time
//   lagging   the oldest commit is older than `lagMsMax`: refused until it ends
//   probing   the last commit failed: one batch at a time goes through to see whether storage is back
// There is no timer: the batch in flight is the probe, and storage itself tries it again until its deadline.

import type { Clock } from '../../runtime/index.ts';

export interface AdmissionOptions {
  clock: Clock;
  /** Age of the oldest commit from which on nothing new is accepted. */
  lagMsMax: number;
  /** Reasons from outside: disk, memory, quotas. A text says why nothing may come in; '' = nothing against it. */
  reasons: readonly (() => string)[];
}

export class Admission {
  readonly #options: AdmissionOptions;
  /** When each batch in flight was sent, oldest first. */
  readonly #sentAtMs: number[] = [];
  #failing = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Hot: asked for every request. */
  refuses(): boolean {
    const [oldestMs] = this.#sentAtMs;
    if (oldestMs !== undefined) {
      if (this.#failing) return true;
      if (this.#options.clock.monotonicMs() - oldestMs > this.#options.lagMsMax) return true;
    }
    for (const reason of this.#options.reasons) if (reason() !== '') return true;
    return false;
  }

  /** Why it refuses now; '' when it does not. */
  get reason(): string {
    for (const reason of this.#options.reasons) {
      const text = reason();
      if (text !== '') return text;
    }
    if (this.#failing) return 'storage does not take commits';
    return this.refuses() ? 'commits take too long' : '';
  }

  /** A batch is on its way; to be given back with its outcome. */
  sent(): number {
    const nowMs = this.#options.clock.monotonicMs();
    this.#sentAtMs.push(nowMs);
    return nowMs;
  }

  settled(sentAtMs: number, isWell: boolean): void {
    const index = this.#sentAtMs.indexOf(sentAtMs);
    if (index >= 0) this.#sentAtMs.splice(index, 1);
    this.#failing = !isWell;
  }
}
