// The limit of /internal/v1/batch, all senders together: an upstream gateway says in X-Batch-Size how many events a request
// holds, so that it can be refused before anything of it is read. Who does not say is not limited, as in the field.

import type { Clock } from '../../runtime/index.ts';
import { gcra, type Limit } from '../services/gcra.ts';
import { type Answer, gateAnswer } from './answers.ts';

export class BatchThrottle {
  readonly #limit: Limit;
  readonly #clock: Clock;
  #paidOffAtMs = 0;

  /** 0 events: no limit. */
  constructor(limit: Limit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** The answer that refuses a batch of the size that is told; otherwise it is taken of the limit. */
  refuse(batchSize: string): Answer | undefined {
    if (this.#limit.events === 0 || !/^\d{1,9}$/.test(batchSize)) return undefined;
    const verdict = gcra(this.#limit, this.#paidOffAtMs, this.#clock.nowMs(), Number(batchSize));
    this.#paidOffAtMs = verdict.paidOffAtMs;
    const { allowed, remaining, retryAfterMs } = verdict;
    return allowed ? undefined : gateAnswer({ kind: 'limited', limit: this.#limit, remaining, retryAfterMs });
  }
}
