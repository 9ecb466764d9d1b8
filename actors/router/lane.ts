// One destination inside a router: its barrier, breaker and throttle, its jobs that may be sent, its requests. A
// partition of one destination has one lane; in the modes `none` and `workspace` many share an actor, and lanes keep
// a destination that stalls from holding requests another could use.

import type { Breaker } from './breaker.ts';
import { RequestCache } from './job-parameters.ts';
import type { LanePolicy } from './lane-policy.ts';
import { Ordering } from './ordering.ts';
import { ReadyLine } from './ready-line.ts';
import type { Throttle } from './throttle.ts';

export class Lane<Job> {
  readonly destinationId: string;
  /** For idempotency keys. */
  readonly encodedId: string;
  /** Jobs whose turn it is, in that order. */
  readonly ready = new ReadyLine<Job>();
  /** Requests in flight, whichever session they were begun in. */
  inFlight = 0;
  /** Bytes of their bodies. */
  bytesInFlight = 0;
  /** Since when a request that is not full is held back; 0: none is. */
  partialSinceMs = 0;
  /** Outlives sessions: what is known about the destination stays known. */
  readonly breaker: Breaker;
  readonly requests = new RequestCache();
  /** What the destination's configuration says, as it was last looked at (admission.ts). */
  policy: LanePolicy;
  /** Made by admission.ts for the throttle of `policy`. */
  throttle: Throttle | undefined;
  #ordering: Ordering<Job>;

  constructor(destinationId: string, breaker: Breaker, policy: LanePolicy) {
    this.destinationId = destinationId;
    this.encodedId = encodeURIComponent(destinationId);
    this.breaker = breaker;
    this.policy = policy;
    this.#ordering = new Ordering<Job>(policy.ordering);
  }

  get ordering(): Ordering<Job> {
    return this.#ordering;
  }

  get isIdle(): boolean {
    return this.inFlight === 0 && this.#ordering.stats().jobs === 0 && this.breaker.openedAtMs === 0;
  }

  /** The session was lost: its jobs come again. Requests in flight stay in flight. */
  reset(): void {
    this.ready.clear();
    this.partialSinceMs = 0;
    this.#ordering = new Ordering<Job>(this.policy.ordering);
  }
}
