// The circuit breaker of one destination: after many failures in a row nothing is sent but one probe at a time, at
// growing intervals, until one gets through. Jobs wait meanwhile without using up their attempts, and a destination
// that is down costs one connection instead of all it may have. Pure: the caller gives the time.
//
//   closed --failures in a row--> open --probe time--> probing --answered--> closed
//                                  ^___________failed_____/

import type { Settings } from '../config.ts';

export interface BreakerPolicy {
  /** Failures in a row that open it; 0: it never opens. */
  failures: number;
  /** First interval between probes; doubles up to `probeMsMax`. */
  probeMsMin: number;
  probeMsMax: number;
}

export type BreakerChange = 'opened' | 'closed' | undefined;

export class Breaker {
  readonly #policy: BreakerPolicy;
  #failures = 0;
  /** Probes that failed since it opened. */
  #probes = 0;
  /** 0: closed. */
  #openedAtMs = 0;
  #probeAtMs = 0;
  #isProbing = false;

  constructor(policy: BreakerPolicy) {
    this.#policy = policy;
  }

  /** When it opened; 0 while it is closed. */
  get openedAtMs(): number {
    return this.#openedAtMs;
  }

  /** 0: a job may be sent now. Otherwise when to ask again; Infinity while a probe is on its way. */
  waitUntilMs(nowMs: number): number {
    if (this.#openedAtMs === 0) return 0;
    if (this.#isProbing) return Number.POSITIVE_INFINITY;
    return nowMs >= this.#probeAtMs ? 0 : this.#probeAtMs;
  }

  /** Whoever probed is gone: what became of the probe will not be told. */
  abandonProbe(): void {
    this.#isProbing = false;
  }

  /** A job is sent. While open it is the probe. */
  sent(): void {
    if (this.#openedAtMs !== 0) this.#isProbing = true;
  }

  /** What became of a job that was sent, also before the breaker opened. `isDown`: no answer, or one of a broken server. */
  ended(isDown: boolean, nowMs: number): BreakerChange {
    this.#isProbing = false;
    if (!isDown) {
      this.#failures = 0;
      this.#probes = 0;
      if (this.#openedAtMs === 0) return undefined;
      this.#openedAtMs = 0;
      return 'closed';
    }
    this.#failures += 1;
    if (this.#openedAtMs === 0) {
      if (this.#policy.failures === 0 || this.#failures < this.#policy.failures) return undefined;
      this.#openedAtMs = nowMs;
      this.#probeAtMs = nowMs + this.#policy.probeMsMin;
      return 'opened';
    }
    // Failures of requests that were on their way when it opened tell nothing new.
    if (nowMs < this.#probeAtMs) return undefined;
    this.#probes += 1;
    const { probeMsMin, probeMsMax } = this.#policy;
    this.#probeAtMs = nowMs + Math.min(probeMsMax, probeMsMin * 2 ** Math.min(this.#probes, 30));
    return undefined;
  }
}

/** Open breakers of routers that rest, by destination: what was found out is not forgotten with the actor. */
export class BreakerMemory {
  readonly #resting = new Map<string, Breaker>();

  /** Keeps one that is open; the longest forgotten goes when there are too many. */
  keep(destinationId: string, breaker: Breaker): void {
    if (breaker.openedAtMs === 0) return;
    breaker.abandonProbe();
    this.#resting.set(destinationId, breaker);
    if (this.#resting.size <= restingMax) return;
    const [oldest] = this.#resting.keys();
    if (oldest !== undefined) this.#resting.delete(oldest);
  }

  take(destinationId: string): Breaker | undefined {
    const breaker = this.#resting.get(destinationId);
    this.#resting.delete(destinationId);
    return breaker;
  }
}

const restingMax = 10_000;
const probeMsMin = 1_000;

export function breakerPolicyOf({ router }: Settings): BreakerPolicy {
  return { failures: router.breakerFailures, probeMsMin, probeMsMax: router.breakerProbeMsMax };
}

/** Whether a code says that the destination itself is down, and not that it dislikes a job or is busy. */
export function isDown(code: number): boolean {
  return code < 200 || code >= 500 || code === 408;
}
