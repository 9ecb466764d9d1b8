// The generic cell rate algorithm: a limit as one number per key, the moment at which all that was taken will have been
// paid off (the theoretical arrival time). No counters, no windows that reset: what was used flows back evenly.
//
// A cost above the whole limit would never be allowed and its sender would try for ever; it passes when nothing is owed,
// and its debt is paid off before anything else passes.

export interface Limit {
  /** Events that may come at once, and per window in the long run. */
  events: number;
  windowMs: number;
}

export interface GcraVerdict {
  allowed: boolean;
  /** Of the limit, left now: after the cost when it was allowed. */
  remaining: number;
  /** 0 when allowed. */
  retryAfterMs: number;
  /** To be kept for the key; unchanged when it was not allowed. */
  paidOffAtMs: number;
}

/** `paidOffAtMs`: what is kept for the key, 0 when nothing is. */
export function gcra(limit: Limit, paidOffAtMs: number, nowMs: number, cost: number): GcraVerdict {
  const { events, windowMs } = limit;
  const owedMs = Math.max(0, paidOffAtMs - nowMs);
  const costMs = costOf(limit, cost);
  // Moments are large numbers and costs small fractions: less than this is no difference.
  const roundingMs = windowMs * 1e-9;
  const allowed = owedMs + costMs <= windowMs + roundingMs || owedMs <= roundingMs;
  const owedAfterMs = allowed ? owedMs + costMs : owedMs;
  return {
    allowed,
    remaining: Math.max(0, Math.floor(events * (1 - owedAfterMs / windowMs) + 1e-6)),
    retryAfterMs: allowed ? 0 : Math.ceil(Math.min(owedMs + costMs - windowMs, owedMs) - roundingMs),
    paidOffAtMs: allowed ? nowMs + owedAfterMs : paidOffAtMs,
  };
}

/** Time that `cost` events take to be paid off. */
export function costOf({ events, windowMs }: Limit, cost: number): number {
  return (cost * windowMs) / events;
}
