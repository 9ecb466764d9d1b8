// May this job be sent now? What an operator decided, what the breaker knows and what the throttle allows, asked in
// that order, because only the last one takes note of the asking. What may not be sent waits where it is.

import type { Environment } from '../environment.ts';
import { type BreakerPolicy, breakerPolicyOf } from './breaker.ts';
import type { Lane } from './lane.ts';
import type { RoutedJob } from './routed-job.ts';
import { Throttle } from './throttle.ts';
import { throttlePolicyOf } from './throttle-policy.ts';

/** A paused destination is looked at this often: how soon its jobs go on after it was resumed. */
const pausedLookMs = 1_000;

export class Admission {
  readonly breakerPolicy: BreakerPolicy;
  readonly #environment: Environment;
  readonly #shares: number;

  /** `shares`: how many actors send to one destination. */
  constructor(environment: Environment, shares: number) {
    this.breakerPolicy = breakerPolicyOf(environment.settings);
    this.#environment = environment;
    this.#shares = shares;
  }

  /**
   * 0: send it, the throttle has counted it. Otherwise when to ask again; Infinity: when a probe that is on its way
   * has ended.
   */
  waitUntilMs(lane: Lane<RoutedJob>, { parameters }: RoutedJob, nowMs: number): number {
    const { controls } = this.#environment;
    if (controls.isPaused(lane.destinationId)) return nowMs + pausedLookMs;
    const waitUntilMs = lane.breaker.waitUntilMs(nowMs);
    return waitUntilMs > 0 ? waitUntilMs : this.#throttle(lane).waitUntilMs(parameters?.event_type ?? '', nowMs);
  }

  /** Whether another job of this lane may be sent although one may not. */
  isPerJob(lane: Lane<RoutedJob>): boolean {
    return lane.throttle?.perEventType === true;
  }

  /** The lane's throttle, made anew when the destination's configuration says something else about it. */
  #throttle(lane: Lane<RoutedJob>): Throttle {
    const destination = this.#environment.workspace.current.destinationById(lane.destinationId);
    if (lane.throttle !== undefined && lane.throttledBy === destination) return lane.throttle;
    const policy = throttlePolicyOf(this.#environment.settings, destination, this.#shares);
    lane.throttledBy = destination;
    if (lane.throttle?.isBy(policy) !== true) lane.throttle = new Throttle(policy);
    return lane.throttle;
  }
}
