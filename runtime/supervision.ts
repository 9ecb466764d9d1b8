// What happens after a failure, as pure functions of the failures before it: restart after a growing delay, park when
// restarts came too often, or stop. Parking takes the place of escalation: one tenant's poison must not end its
// siblings. Failures of the environment (storage away) wait, but never count against the actor.

import type { SupervisionOptions } from './actor.ts';

export const supervisionDefaults: Readonly<SupervisionOptions> = Object.freeze({
  strategy: 'restart',
  minBackoffMs: 200,
  maxBackoffMs: 30_000,
  jitter: 0.2,
  maxRestarts: 5,
  withinMs: 60_000,
  resetAfterMs: 60_000,
  parkMs: 300_000,
  parkMsMax: 3_600_000,
});

/** Kept only for actors that failed; an actor that never did carries none. */
export interface FailureHistory {
  /** Failures in a row, without `resetAfterMs` of health between them. */
  readonly failures: number;
  /** Moments of the restarts that spent intensity, within the window; at most `maxRestarts` of them. */
  readonly restartsMs: readonly number[];
  /** Parks in a row. */
  readonly parks: number;
  /** When the actor was last started again; a failure this soon after is part of the same trouble. */
  readonly resumedMs: number;
}

export interface FailureFacts {
  readonly nowMs: number;
  readonly isEnvironment: boolean;
  /** Uniform in [0, 1): the random part of the delay. */
  readonly chance: number;
}

export type Verdict =
  | { readonly action: 'restart'; readonly delayMs: number; readonly history: FailureHistory }
  | { readonly action: 'park'; readonly parkMs: number; readonly history: FailureHistory }
  | { readonly action: 'stop' };

export function judgeFailure(
  history: FailureHistory | undefined,
  options: SupervisionOptions,
  facts: FailureFacts,
): Verdict {
  if (options.strategy === 'stop' && !facts.isEnvironment) return { action: 'stop' };
  const before = relevantHistory(history, options, facts.nowMs);
  const delayMs = backoffMs(before.failures, options, facts.chance);
  const failures = before.failures + 1;
  const recent = before.restartsMs.filter((restartMs) => facts.nowMs - restartMs < options.withinMs);
  if (facts.isEnvironment) {
    return { action: 'restart', delayMs, history: { ...before, failures, restartsMs: recent } };
  }
  if (recent.length >= options.maxRestarts) {
    const parkMs = Math.min(options.parkMs * 2 ** before.parks, options.parkMsMax);
    return { action: 'park', parkMs, history: { ...before, failures: 0, restartsMs: [], parks: before.parks + 1 } };
  }
  return { action: 'restart', delayMs, history: { ...before, failures, restartsMs: [...recent, facts.nowMs] } };
}

export function afterResume(history: FailureHistory, nowMs: number): FailureHistory {
  return { ...history, resumedMs: nowMs };
}

/** Doubles with each failure up to the maximum; the share `jitter` of it is random, so the maximum is never passed. */
export function backoffMs(failures: number, options: SupervisionOptions, chance: number): number {
  const fullMs = Math.min(options.minBackoffMs * 2 ** Math.min(failures, 32), options.maxBackoffMs);
  return fullMs * (1 - options.jitter * (1 - chance));
}

/** The intensity window has its own clock, so only the backoff and the parks are forgotten after a healthy time. */
function relevantHistory(
  history: FailureHistory | undefined,
  options: SupervisionOptions,
  nowMs: number,
): FailureHistory {
  if (history === undefined) return { failures: 0, restartsMs: [], parks: 0, resumedMs: nowMs };
  if (nowMs - history.resumedMs < options.resetAfterMs) return history;
  return { ...history, failures: 0, parks: 0 };
}
