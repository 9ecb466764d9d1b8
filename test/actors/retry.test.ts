// The response table of the field and our retry rules, by table and by property.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Attempt,
  drainedCode,
  isRetryable,
  judge,
  parseRetryAfter,
  type RetryPolicy,
} from '../../actors/router/retry.ts';
import { RetryQueue } from '../../actors/router/retry-queue.ts';

const policy: RetryPolicy = { backoffMsMin: 10_000, backoffMsMax: 300_000, windowMs: 10_800_000, attemptsMax: 3 };
const nowMs = 1_800_000_000_000;

function attempt(code: number, changes: Partial<Attempt> = {}): Attempt {
  return { code, number: 1, firstAttemptedAtMs: nowMs, nowMs, retryAfterMs: undefined, ...changes };
}

function stateOf(code: number): string {
  return judge(attempt(code), policy, () => 0.5).state;
}

test('every code ends in the state the field gives it', () => {
  const table: [number, string][] = [
    [0, 'failed'],
    [100, 'failed'],
    [200, 'succeeded'],
    [204, 'succeeded'],
    [296, 'succeeded'],
    [298, 'filtered'],
    [299, 'succeeded'],
    [300, 'aborted'],
    [302, 'aborted'],
    [400, 'aborted'],
    [401, 'aborted'],
    [404, 'aborted'],
    [408, 'failed'],
    [410, 'aborted'],
    [413, 'aborted'],
    [429, 'failed'],
    [499, 'aborted'],
    [500, 'failed'],
    [503, 'failed'],
    [504, 'failed'],
    [599, 'failed'],
  ];
  for (const [code, state] of table) assert.equal(stateOf(code), state, `code ${code}`);
});

test('a retry never comes later than the backoff of its attempt allows, nor in the past', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (number, chance) => {
        const verdict = judge(attempt(500, { number }), policy, () => chance);
        assert.equal(verdict.state, 'failed');
        const delayMs = verdict.state === 'failed' ? verdict.retryTimeMs - nowMs : -1;
        assert.ok(delayMs >= 0 && delayMs <= Math.min(300_000, 10_000 * 2 ** (number - 1)), `delay ${delayMs}`);
        assert.ok(Number.isSafeInteger(delayMs));
      },
    ),
  );
});

test('the jitter is full: the delay is the drawn share of the whole ceiling', () => {
  const verdict = judge(attempt(500, { number: 3 }), policy, () => 0.25);
  assert.deepEqual(verdict, { state: 'failed', retryTimeMs: nowMs + 10_000 });
});

test('Retry-After is waited for when it is longer than the backoff, up to the longest backoff', () => {
  const retryTimeMs = (retryAfterMs: number): number => {
    const verdict = judge(attempt(429, { retryAfterMs }), policy, () => 0.5);
    return verdict.state === 'failed' ? verdict.retryTimeMs - nowMs : -1;
  };
  assert.equal(retryTimeMs(1_000), 5_000);
  assert.equal(retryTimeMs(60_000), 60_000);
  assert.equal(retryTimeMs(86_400_000), 300_000);
});

test('a job is given up only when both its window and its attempts are exceeded, whatever the retryable code', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 408, 429, 500, 503, 504, 599),
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 0, max: 30_000_000 }),
      (code, number, ageMs) => {
        const verdict = judge(attempt(code, { number, firstAttemptedAtMs: nowMs - ageMs }), policy, () => 0.5);
        const isOver = ageMs > policy.windowMs && number >= policy.attemptsMax;
        assert.equal(verdict.state, isOver ? 'aborted' : 'failed');
        if (verdict.state === 'aborted')
          assert.deepEqual([verdict.code, verdict.reason], [drainedCode, 'retry limit reached']);
      },
    ),
  );
});

test('what is aborted at once is what is not retryable', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999 }), (code) => {
      assert.equal(stateOf(code) === 'failed', isRetryable(code));
    }),
  );
});

test('Retry-After is read as seconds or as a date, and ignored otherwise', () => {
  const table: [string | undefined, number | undefined][] = [
    ['0', 0],
    [' 120 ', 120_000],
    [new Date(nowMs + 90_000).toUTCString(), 90_000],
    [new Date(nowMs - 90_000).toUTCString(), undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['', undefined],
    [undefined, undefined],
  ];
  for (const [value, expected] of table) assert.equal(parseRetryAfter(value, nowMs), expected, String(value));
});

test('the retry queue gives due items back in the order of their times', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100)), fc.nat(100), (times, dueMs) => {
      const queue = new RetryQueue<{ retryTimeMs: number }>();
      for (const retryTimeMs of times) queue.add({ retryTimeMs });
      const taken: number[] = [];
      for (let item = queue.takeDue(dueMs); item !== undefined; item = queue.takeDue(dueMs))
        taken.push(item.retryTimeMs);
      const sorted = times.toSorted((a, b) => a - b);
      assert.deepEqual(
        taken,
        sorted.filter((time) => time <= dueMs),
      );
      assert.equal(queue.size, times.length - taken.length);
      assert.equal(
        queue.earliestMs,
        sorted.find((time) => time > dueMs),
      );
    }),
  );
});
