// The limit as arithmetic: what passes in any stretch of time, what is told about the rest, and the limiter over it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { gcra, type Limit } from '../../../actors/services/gcra.ts';
import { RateLimiter } from '../../../actors/services/rate-limiter.ts';
import { createMetrics } from '../../../runtime/metrics.ts';
import { VirtualClock } from '../../../runtime/virtual-seams.ts';
import { makeSource } from '../../support/workspace-objects.ts';

const limits = fc.record({ events: fc.integer({ min: 1, max: 1000 }), windowMs: fc.integer({ min: 1, max: 100_000 }) });
const arrivals = fc.array(fc.record({ afterMs: fc.nat({ max: 5_000 }), cost: fc.integer({ min: 1, max: 50 }) }), {
  minLength: 1,
  maxLength: 100,
});

interface Passed {
  atMs: number;
  cost: number;
}

/** Runs the arrivals through the limit, and calls back with each verdict. */
function run(
  limit: Limit,
  events: { afterMs: number; cost: number }[],
  look: typeof gcra | undefined = undefined,
): Passed[] {
  let [nowMs, paidOffAtMs] = [1_000_000, 0];
  const passed: Passed[] = [];
  for (const { afterMs, cost } of events) {
    nowMs += afterMs;
    const verdict = (look ?? gcra)(limit, paidOffAtMs, nowMs, cost);
    paidOffAtMs = verdict.paidOffAtMs;
    if (verdict.allowed) passed.push({ atMs: nowMs, cost });
  }
  return passed;
}

test('in no stretch of time passes more than the burst and what flows back meanwhile', () => {
  fc.assert(
    fc.property(limits, arrivals, (limit, events) => {
      const passed = run(limit, events);
      for (const [from, first] of passed.entries()) {
        let sum = 0;
        for (const { atMs, cost } of passed.slice(from)) {
          // One cost above the whole limit may pass when nothing is owed; then it is the only one for long.
          if (cost > limit.events) break;
          sum += cost;
          const most = limit.events * (1 + (atMs - first.atMs) / limit.windowMs);
          assert.ok(sum <= most + 1e-3, `${sum} passed where ${most} may`);
        }
      }
    }),
  );
});

test('a sender below its limit is never refused', () => {
  fc.assert(
    fc.property(limits, fc.integer({ min: 1, max: 200 }), (limit, count) => {
      const afterMs = limit.windowMs / limit.events;
      assert.equal(
        run(
          limit,
          Array.from({ length: count }, () => ({ afterMs, cost: 1 })),
        ).length,
        count,
      );
    }),
  );
});

test('who comes again after the time he was told passes, and not a moment of it is too long by more than rounding', () => {
  fc.assert(
    fc.property(limits, arrivals, (limit, events) => {
      run(limit, events, (ofLimit, paidOffAtMs, nowMs, cost) => {
        const verdict = gcra(ofLimit, paidOffAtMs, nowMs, cost);
        if (verdict.allowed) return verdict;
        const { retryAfterMs } = verdict;
        assert.ok(retryAfterMs > 0);
        assert.ok(gcra(ofLimit, paidOffAtMs, nowMs + retryAfterMs, cost).allowed, 'allowed after the wait');
        if (retryAfterMs > 1) assert.ok(!gcra(ofLimit, paidOffAtMs, nowMs + retryAfterMs - 1, cost).allowed);
        return verdict;
      });
    }),
  );
});

test('what is said to remain passes at once, and one more does not', () => {
  fc.assert(
    fc.property(limits, arrivals, (limit, events) => {
      run(limit, events, (ofLimit, paidOffAtMs, nowMs, cost) => {
        const verdict = gcra(ofLimit, paidOffAtMs, nowMs, cost);
        const { remaining } = verdict;
        const kept = verdict.paidOffAtMs;
        if (remaining > 0) assert.ok(gcra(ofLimit, kept, nowMs, remaining).allowed);
        if (kept > nowMs) assert.ok(!gcra(ofLimit, kept, nowMs, remaining + 1).allowed);
        return verdict;
      });
    }),
  );
});

function setup(options: { source?: Limit; workspace?: Limit } = {}) {
  const clock = new VirtualClock();
  const charges: string[] = [];
  const limiter = new RateLimiter({
    defaultSourceLimit: options.source,
    defaultWorkspaceLimit: options.workspace,
    clock,
    metrics: createMetrics(),
    share: (key) => charges.push(key),
  });
  return { clock, charges, limiter };
}

const minute = 60_000;

test('without a limit nothing is counted', () => {
  const { limiter, charges } = setup();
  assert.equal(limiter.take(makeSource('s1', []), 1_000_000), undefined);
  assert.deepEqual(charges, []);
});

test('a request takes of both limits or of none', () => {
  const { limiter } = setup({ source: { events: 10, windowMs: minute }, workspace: { events: 15, windowMs: minute } });
  const [one, other] = [makeSource('s1', []), makeSource('s2', [])];
  assert.equal(limiter.take(one, 10), undefined);
  const refusal = limiter.take(other, 10);
  assert.deepEqual([refusal?.limit.events, refusal?.remaining], [15, 5]);
  // The refused request has taken nothing of its source's limit.
  assert.equal(limiter.take(other, 5), undefined);
});

test("a source's own limit counts from the moment it is configured", () => {
  const { limiter } = setup();
  const source = makeSource('s1', []);
  assert.equal(limiter.take(source, 100), undefined);
  const limited = { ...source, rateLimit: { events: 10, windowMs: minute } };
  assert.equal(limiter.take(limited, 10), undefined);
  assert.equal(limiter.take(limited, 1)?.retryAfterMs, 6_000);
  assert.equal(limiter.take(source, 100), undefined);
});

test('what others let pass counts here as well', () => {
  const { limiter } = setup({ source: { events: 10, windowMs: minute } });
  limiter.adopt('s:s1', minute);
  assert.equal(limiter.take(makeSource('s1', []), 1)?.retryAfterMs, 6_000);
  limiter.adopt('s:s1', 10);
  assert.notEqual(limiter.take(makeSource('s1', []), 1), undefined, 'a smaller sum forgives nothing');
});
