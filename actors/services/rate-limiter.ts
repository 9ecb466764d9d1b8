// Limits of what a source and a workspace may send. Decided here and now, from memory, for every request: the gateway
// never waits for a store. Where several processes share the limits, each reports what it let pass and takes over what
// the others did (limit-sharing.ts), so they can exceed a limit together only by what they let pass within one exchange.

import type { Clock, Counter, Metrics } from '../../runtime/index.ts';
import { costOf, gcra, type Limit } from './gcra.ts';
import type { SourceConfig } from './workspace.ts';

export type { Limit } from './gcra.ts';

export interface RateRefusal {
  retryAfterMs: number;
  /** Of the limit that refused. */
  limit: Limit;
  /** Events that would still have passed. */
  remaining: number;
}

export interface RateLimiterOptions {
  /** For every source and workspace that has none of its own; undefined: no limit. */
  defaultSourceLimit: Limit | undefined;
  defaultWorkspaceLimit: Limit | undefined;
  clock: Clock;
  metrics: Metrics;
  /** Told what was let pass, in time to be paid off; undefined: nobody shares the limits. */
  share?: (key: string, costMs: number) => void;
}

/** Keys are ids of the configuration, so there are few; what is long paid off goes when there are more than this. */
const keysMax = 20_000;

export class RateLimiter {
  readonly #options: RateLimiterOptions;
  readonly #paidOffAtMs = new Map<string, number>();
  readonly #refused: Counter;

  constructor(options: RateLimiterOptions) {
    this.#options = options;
    const help = 'Requests answered 429, by what their limit is for';
    this.#refused = options.metrics.counter('sluice_gateway_rate_limited_total', help);
  }

  /** Takes `events` of both limits, or of neither and says why. Limits of the configuration count from the next call. */
  take(source: SourceConfig, events: number): RateRefusal | undefined {
    const { defaultSourceLimit, defaultWorkspaceLimit, clock } = this.#options;
    const sourceLimit = source.rateLimit ?? defaultSourceLimit;
    const workspaceLimit = source.workspaceRateLimit ?? defaultWorkspaceLimit;
    if (sourceLimit === undefined && workspaceLimit === undefined) return undefined;
    const nowMs = clock.nowMs();
    const sourceKey = `s:${source.id}`;
    const workspaceKey = `w:${source.workspaceId}`;
    const refusal =
      this.#refusal('source', sourceKey, sourceLimit, nowMs, events) ??
      this.#refusal('workspace', workspaceKey, workspaceLimit, nowMs, events);
    if (refusal !== undefined) return refusal;
    this.#charge(sourceKey, sourceLimit, nowMs, events);
    this.#charge(workspaceKey, workspaceLimit, nowMs, events);
    return undefined;
  }

  /** What all processes together owe for the key, from now on. Never less than what is owed here. */
  adopt(key: string, owedMs: number): void {
    const paidOffAtMs = this.#options.clock.nowMs() + owedMs;
    if (paidOffAtMs > (this.#paidOffAtMs.get(key) ?? 0)) this.#paidOffAtMs.set(key, paidOffAtMs);
  }

  #refusal(scope: string, key: string, limit: Limit | undefined, nowMs: number, events: number) {
    if (limit === undefined) return undefined;
    const verdict = gcra(limit, this.#paidOffAtMs.get(key) ?? 0, nowMs, events);
    if (verdict.allowed) return undefined;
    this.#refused.add(1, { scope });
    return { retryAfterMs: verdict.retryAfterMs, limit, remaining: verdict.remaining };
  }

  #charge(key: string, limit: Limit | undefined, nowMs: number, events: number): void {
    if (limit === undefined) return;
    if (this.#paidOffAtMs.size >= keysMax) this.#forgetPaidOff(nowMs);
    this.#paidOffAtMs.set(key, gcra(limit, this.#paidOffAtMs.get(key) ?? 0, nowMs, events).paidOffAtMs);
    this.#options.share?.(key, costOf(limit, events));
  }

  #forgetPaidOff(nowMs: number): void {
    for (const [key, paidOffAtMs] of this.#paidOffAtMs) if (paidOffAtMs <= nowMs) this.#paidOffAtMs.delete(key);
  }
}
