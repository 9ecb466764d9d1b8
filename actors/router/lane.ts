// One destination inside a router: its barrier, breaker and throttle, its jobs that may be sent, its requests. A
// partition of one destination has one lane; in the modes `none` and `workspace` many share an actor, and lanes keep
// a destination that stalls from holding requests another could use.

import type { DestinationConfig } from '../services/workspace.ts';
import { Breaker, type BreakerPolicy } from './breaker.ts';
import { Ordering } from './ordering.ts';
import type { Throttle } from './throttle.ts';

export class Lane<Job> {
  readonly destinationId: string;
  /** Jobs whose turn it is, in that order. */
  ready: Job[] = [];
  /** Requests in flight, whichever session they were begun in. */
  inFlight = 0;
  /** Outlives sessions: what is known about the destination stays known. */
  readonly breaker: Breaker;
  /** Made by admission.ts for the configuration in `throttledBy`. */
  throttle: Throttle | undefined;
  throttledBy: DestinationConfig | undefined;
  #ordering = new Ordering<Job>();

  constructor(destinationId: string, breaker: BreakerPolicy) {
    this.destinationId = destinationId;
    this.breaker = new Breaker(breaker);
  }

  get ordering(): Ordering<Job> {
    return this.#ordering;
  }

  get isIdle(): boolean {
    return this.inFlight === 0 && this.#ordering.stats().jobs === 0 && this.breaker.openedAtMs === 0;
  }

  /** The session was lost: its jobs come again. Requests in flight stay in flight. */
  reset(): void {
    this.ready = [];
    this.#ordering = new Ordering<Job>();
  }
}
