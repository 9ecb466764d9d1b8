// One destination inside a router: its barrier, its jobs that may be sent, and its share of concurrent requests. A
// partition of one destination has one lane; in the modes `none` and `workspace` many share an actor, and lanes keep
// a destination that stalls from holding requests another could use.

import { Ordering } from './ordering.ts';

export class Lane<Job> {
  readonly destinationId: string;
  /** Jobs whose turn it is, in that order. */
  ready: Job[] = [];
  /** Requests in flight, whichever session they were begun in. */
  inFlight = 0;
  #ordering = new Ordering<Job>();

  constructor(destinationId: string) {
    this.destinationId = destinationId;
  }

  get ordering(): Ordering<Job> {
    return this.#ordering;
  }

  get isIdle(): boolean {
    return this.inFlight === 0 && this.#ordering.stats().jobs === 0;
  }

  /** The session was lost: its jobs come again. Requests in flight stay in flight. */
  reset(): void {
    this.ready = [];
    this.#ordering = new Ordering<Job>();
  }
}
