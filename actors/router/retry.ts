// What becomes of a job after one attempt: the response table of spec/delivery.md 1.9 and the retry rules of 1.10,
// as one pure function. Two deliberate differences from the field: delays have full jitter, and 408, 429 and "no code"
// are bounded like every other failure, because a destination that throttles forever must not keep jobs forever.

export interface RetryPolicy {
  backoffMsMin: number;
  backoffMsMax: number;
  /** A job is given up only when it is older than this since its first attempt … */
  windowMs: number;
  /** … and has had this many attempts. */
  attemptsMax: number;
}

export interface Attempt {
  /** HTTP status or internal code; 0 when there was none. */
  code: number;
  /** 1 for the first. */
  number: number;
  firstAttemptedAtMs: number;
  nowMs: number;
  /** What the destination asked for by Retry-After; undefined when it did not. */
  retryAfterMs: number | undefined;
  /** What failed says nothing about the job, which is never given up for it. */
  isBlameless?: boolean;
}

export type Verdict =
  | { state: 'succeeded' | 'filtered' }
  | { state: 'aborted'; code: number; reason: string }
  | { state: 'failed'; retryTimeMs: number };

/** Code of a job the server gave up by its own rules (spec/delivery.md 1.9). */
export const drainedCode = 410;
const filteredCode = 298;

/** `random`: uniform in [0, 1). */
export function judge(attempt: Attempt, policy: RetryPolicy, random: () => number): Verdict {
  const { code } = attempt;
  if (code === filteredCode) return { state: 'filtered' };
  if (code >= 200 && code < 300) return { state: 'succeeded' };
  if (!isRetryable(code)) return { state: 'aborted', code, reason: `the destination answered ${code}` };
  const ageMs = attempt.nowMs - attempt.firstAttemptedAtMs;
  if (attempt.isBlameless !== true && ageMs > policy.windowMs && attempt.number >= policy.attemptsMax) {
    return { state: 'aborted', code: drainedCode, reason: 'retry limit reached' };
  }
  return { state: 'failed', retryTimeMs: attempt.nowMs + retryDelayMs(attempt, policy, random) };
}

export function isRetryable(code: number): boolean {
  return code < 200 || code >= 500 || code === 408 || code === 429;
}

/** Full jitter below the exponential ceiling; a longer Retry-After wins, up to the largest backoff. */
function retryDelayMs(attempt: Attempt, policy: RetryPolicy, random: () => number): number {
  const ceilingMs = Math.min(policy.backoffMsMax, policy.backoffMsMin * 2 ** (attempt.number - 1));
  const jitteredMs = Math.floor(random() * ceilingMs);
  const askedMs = Math.min(attempt.retryAfterMs ?? 0, policy.backoffMsMax);
  return Math.max(jitteredMs, askedMs);
}

/** `Retry-After` (RFC 9110 10.2.3): seconds or a date. Undefined when it is neither or lies in the past. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,10}$/.test(text)) return Number(text) * 1000;
  // Date.parse takes anything date-like, also plain fractions: an HTTP date begins with the name of a day.
  if (!/^[A-Za-z]{3,9}, /.test(text)) return undefined;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) || atMs <= nowMs ? undefined : atMs - nowMs;
}
