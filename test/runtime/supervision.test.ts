// Supervision as a function of the failures before: growing delays, intensity, parking, forgetting.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  afterResume,
  backoffMs,
  type FailureHistory,
  judgeFailure,
  supervisionDefaults,
} from '../../runtime/supervision.ts';

const options = { ...supervisionDefaults };

function failAt(history: FailureHistory | undefined, nowMs: number, isEnvironment = false) {
  return judgeFailure(history, options, { nowMs, isEnvironment, chance: 0.5 });
}

test('the delay doubles from the minimum, never passes the maximum, and only its jitter share is random', () => {
  fc.assert(
    fc.property(fc.nat(100), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, chance) => {
      const delayMs = backoffMs(failures, options, chance);
      const fullMs = Math.min(200 * 2 ** failures, 30_000);
      assert.ok(delayMs <= fullMs && delayMs >= fullMs * 0.8, `${delayMs} of ${fullMs}`);
    }),
  );
});

test('never more than maxRestarts within the window, whatever the moments of the failures', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30_000), { maxLength: 60 }), (gaps) => {
      let nowMs = 0;
      let history: FailureHistory | undefined;
      const restarts: number[] = [];
      for (const gapMs of gaps) {
        nowMs += gapMs;
        const verdict = failAt(history, nowMs);
        assert.notEqual(verdict.action, 'stop');
        if (verdict.action === 'stop') return;
        if (verdict.action === 'park') {
          restarts.length = 0;
          nowMs += verdict.parkMs;
        } else {
          restarts.push(nowMs);
          nowMs += verdict.delayMs;
        }
        const recent = restarts.filter((restartMs) => nowMs - restartMs < options.withinMs);
        assert.ok(recent.length <= options.maxRestarts);
        history = afterResume(verdict.history, nowMs);
      }
    }),
  );
});

test('environment failures delay but never park, however many', () => {
  let history: FailureHistory | undefined;
  for (let failure = 0; failure < 200; failure += 1) {
    const verdict = failAt(history, failure * 10, true);
    assert.equal(verdict.action, 'restart');
    if (verdict.action === 'restart') history = verdict.history;
  }
  assert.deepEqual(history?.restartsMs, []);
});

test('parks double up to their maximum and are forgotten after a healthy time', () => {
  let history: FailureHistory | undefined;
  let nowMs = 0;
  const parksMs: number[] = [];
  while (parksMs.length < 6) {
    const verdict = failAt(history, nowMs);
    if (verdict.action === 'stop') throw new Error('expected no stop');
    history = verdict.history;
    if (verdict.action === 'park') {
      parksMs.push(verdict.parkMs);
      nowMs += verdict.parkMs;
    }
    nowMs += 10;
    history = afterResume(history, nowMs);
  }
  assert.deepEqual(parksMs, [300_000, 600_000, 1_200_000, 2_400_000, 3_600_000, 3_600_000]);
  const later = failAt(history, nowMs + options.resetAfterMs);
  assert.equal(later.action === 'restart' && later.history.parks, 0);
});

test('the stop strategy stops, but waits for a broken environment', () => {
  const stopping = { ...options, strategy: 'stop' as const };
  const facts = { nowMs: 0, chance: 0 };
  assert.equal(judgeFailure(undefined, stopping, { ...facts, isEnvironment: false }).action, 'stop');
  assert.equal(judgeFailure(undefined, stopping, { ...facts, isEnvironment: true }).action, 'restart');
});
