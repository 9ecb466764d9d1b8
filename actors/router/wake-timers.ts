// The two moments a router waits for besides messages: the earliest retry, and the next look at what is held back (a
// paused destination, an open breaker, a throttle, a request that is not full). One timer each, for all of its jobs.

import type { ActorContext } from '../../runtime/index.ts';
import type { RouterMessage } from './contract.ts';

const retryTimer = 'retry';
const holdTimer = 'hold';
/** A retry this much later than the idle time is not waited for: the actor is put away, and storage wakes it again. */
const restMarginMs = 5_000;

export class WakeTimers {
  readonly #context: ActorContext<RouterMessage>;
  readonly #restFromMs: number;
  /** When the retry timer fires; undefined: it is not set. */
  #retryAtMs: number | undefined;
  /** When held jobs are looked at again; undefined: none is held. */
  #holdAtMs: number | undefined;

  constructor(context: ActorContext<RouterMessage>, idleMs: number) {
    this.#context = context;
    this.#restFromMs = idleMs + restMarginMs;
  }

  /** A look at what is held, at the latest at this time. Infinity: whoever holds it up looks when it ends. */
  holdUntil(atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY) return;
    if (this.#holdAtMs !== undefined && this.#holdAtMs <= atMs) return;
    this.#holdAtMs = atMs;
    this.#context.schedule(holdTimer, Math.max(0, atMs - this.#context.clock.nowMs()), { kind: 'holdDue' });
  }

  holdFired(): void {
    this.#holdAtMs = undefined;
  }

  retryFired(): void {
    this.#retryAtMs = undefined;
  }

  /**
   * Set to the earliest retry, and left alone while that stays the same. None for a retry that is far away: an actor
   * without a timer is put away when it is idle, and what it held no longer takes anybody's room.
   */
  retryAt(earliestMs: number | undefined): void {
    if (earliestMs === undefined && this.#retryAtMs === undefined) return;
    const delayMs = (earliestMs ?? Number.POSITIVE_INFINITY) - this.#context.clock.nowMs();
    const atMs = delayMs < this.#restFromMs ? earliestMs : undefined;
    if (atMs === this.#retryAtMs) return;
    this.#retryAtMs = atMs;
    if (atMs === undefined) this.#context.cancel(retryTimer);
    else this.#context.schedule(retryTimer, Math.max(0, delayMs), { kind: 'retryDue' });
  }
}
