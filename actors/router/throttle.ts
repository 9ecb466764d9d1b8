// How fast a destination may be sent to (spec/delivery.md 1.11): a limit of its own for each destination, or for each
// of its event types, by the generic cell rate algorithm. An adaptive limit follows what the destination says: it
// falls when too many answers are 429 and rises again while none is. A job that may not be sent yet stays where it is,
// with its attempts unchanged. Pure: the caller gives the time.

import { gcra, type Limit } from '../services/gcra.ts';

export interface ThrottlePolicy {
  /** Jobs per window; 0: no limit. */
  limit: number;
  windowMs: number;
  /** The limit is the most; answers of the destination decide how much of it is used. */
  adaptive: boolean;
  /** Below this the adaptive limit does not fall. */
  limitMin: number;
  perEventType: boolean;
  /** Cost of a job by its event type, `default` for all others; 1 without. */
  costs: Readonly<Record<string, number>>;
}

/** Share of 429 answers in a window beyond which the limit falls. */
const toleratedShare = 0.1;
const increase = 0.1;
const decrease = 0.3;
/** The limit rises after this many windows without a 429. */
const increaseWindows = 2;
/** After a fall this many windows say nothing: their answers belong to the old limit. */
const decreaseWaitWindows = 1;

export class Throttle {
  readonly #policy: ThrottlePolicy;
  /** By event type; '' when all share one. */
  readonly #paidOffAtMs = new Map<string, number>();
  readonly #factor: AdaptiveFactor | undefined;

  constructor(policy: ThrottlePolicy) {
    this.#policy = policy;
    if (policy.adaptive) this.#factor = new AdaptiveFactor(policy.windowMs);
  }

  isBy(policy: ThrottlePolicy): boolean {
    return JSON.stringify(policy) === JSON.stringify(this.#policy);
  }

  get isLimited(): boolean {
    return this.#policy.limit > 0;
  }

  get perEventType(): boolean {
    return this.#policy.perEventType;
  }

  /** Jobs per window at this moment. */
  limit(nowMs: number): number {
    const { limit, limitMin } = this.#policy;
    if (this.#factor === undefined) return limit;
    return Math.min(limit, Math.max(limitMin, Math.floor(limit * this.#factor.at(nowMs))));
  }

  /** 0: the job may be sent, and is counted as sent. Otherwise the time at which to ask again; nothing is counted. */
  waitUntilMs(eventType: string, nowMs: number): number {
    if (!this.isLimited) return 0;
    const limit: Limit = { events: this.limit(nowMs), windowMs: this.#policy.windowMs };
    const key = this.#policy.perEventType ? eventType : '';
    const { costs } = this.#policy;
    const cost = costs[eventType] ?? costs.default ?? 1;
    const verdict = gcra(limit, this.#paidOffAtMs.get(key) ?? 0, nowMs, cost);
    if (!verdict.allowed) return nowMs + Math.max(1, verdict.retryAfterMs);
    this.#paidOffAtMs.set(key, verdict.paidOffAtMs);
    return 0;
  }

  /** The destination answered an attempt. */
  ended(code: number, nowMs: number): void {
    this.#factor?.note(code === 429, nowMs);
  }
}

/** The share of its limit that a destination bears at the moment: 0 to 1. */
class AdaptiveFactor {
  readonly #windowMs: number;
  #factor = 1;
  #windowEndsMs = 0;
  #answers = 0;
  #refusals = 0;
  /** Windows in a row without a 429. */
  #calmWindows = 0;
  #deafUntilMs = 0;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  at(nowMs: number): number {
    this.#closeWindow(nowMs);
    return this.#factor;
  }

  note(isRefusal: boolean, nowMs: number): void {
    this.#closeWindow(nowMs);
    if (nowMs < this.#deafUntilMs) return;
    this.#answers += 1;
    if (isRefusal) this.#refusals += 1;
  }

  #closeWindow(nowMs: number): void {
    if (nowMs < this.#windowEndsMs) return;
    const windows = this.#windowEndsMs === 0 ? 0 : 1 + Math.floor((nowMs - this.#windowEndsMs) / this.#windowMs);
    this.#windowEndsMs = nowMs + this.#windowMs;
    const share = this.#answers === 0 ? 0 : this.#refusals / this.#answers;
    this.#answers = 0;
    this.#refusals = 0;
    if (share > toleratedShare) {
      this.#factor = Math.max(0, this.#factor - share * decrease);
      this.#deafUntilMs = nowMs + this.#windowMs * decreaseWaitWindows;
      this.#calmWindows = 0;
      return;
    }
    this.#calmWindows = share > 0 ? 0 : this.#calmWindows + windows;
    while (this.#calmWindows >= increaseWindows && this.#factor < 1) {
      this.#factor = Math.min(1, this.#factor + increase);
      this.#calmWindows -= increaseWindows;
    }
  }
}
