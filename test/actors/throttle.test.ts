// How fast a destination may be sent to: never faster than its limit, not noticeably slower, and adaptively.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { settingsSchema } from '../../actors/config.ts';
import { Throttle, type ThrottlePolicy } from '../../actors/router/throttle.ts';
import { throttlePolicyOf } from '../../actors/router/throttle-policy.ts';
import { loadConfig } from '../../runtime/index.ts';
import { makeDestination } from '../support/workspace-objects.ts';

const policy: ThrottlePolicy = {
  limit: 10,
  windowMs: 1_000,
  adaptive: false,
  limitMin: 1,
  perEventType: false,
  costs: {},
};

/** Sends as fast as allowed until `endMs`; the times at which something was sent. */
function sendUntil(throttle: Throttle, endMs: number, code = 200): number[] {
  const sent: number[] = [];
  for (let nowMs = 1; nowMs < endMs; ) {
    const waitUntilMs = throttle.waitUntilMs('track', nowMs);
    if (waitUntilMs === 0) {
      sent.push(nowMs);
      throttle.ended(code, nowMs);
    } else {
      assert.ok(waitUntilMs > nowMs);
      nowMs = waitUntilMs;
    }
  }
  return sent;
}

function mostInAnyWindow(sent: readonly number[], windowMs: number): number {
  return Math.max(0, ...sent.map((startMs) => sent.filter((at) => at >= startMs && at < startMs + windowMs).length));
}

test('keeps to the limit in the long run, and to twice of it in any window', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 10, max: 5_000 }), (limit, windowMs) => {
      const sent = sendUntil(new Throttle({ ...policy, limit, windowMs }), windowMs * 10);
      assert.ok(sent.length <= limit * 11 + 1, `${sent.length} for ${limit} in ${windowMs}`);
      assert.ok(sent.length >= limit * 9, `${sent.length} for ${limit} in ${windowMs}`);
      assert.ok(mostInAnyWindow(sent, windowMs) <= limit * 2 + 1);
    }),
    { numRuns: 50 },
  );
});

test('no limit is none, and event types have limits of their own where that is asked for', () => {
  const open = new Throttle({ ...policy, limit: 0 });
  for (let job = 0; job < 1_000; job += 1) assert.equal(open.waitUntilMs('track', 5), 0);
  const apart = new Throttle({ ...policy, limit: 1, perEventType: true });
  assert.equal(apart.waitUntilMs('track', 5), 0);
  assert.equal(apart.waitUntilMs('page', 5), 0);
  assert.ok(apart.waitUntilMs('track', 5) > 5);
});

test('a job counts as what its type costs', () => {
  const throttle = new Throttle({ ...policy, costs: { identify: 5, default: 2 } });
  assert.equal(throttle.waitUntilMs('identify', 5), 0);
  assert.equal(throttle.waitUntilMs('track', 5), 0);
  assert.equal(throttle.waitUntilMs('track', 5), 0);
  assert.ok(throttle.waitUntilMs('track', 5) > 5);
});

test('an adaptive limit falls while a destination refuses, not below its least, and recovers', () => {
  const throttle = new Throttle({ ...policy, limit: 100, limitMin: 5, adaptive: true });
  assert.equal(throttle.limit(1), 100);
  for (let nowMs = 1; nowMs < 60_000; nowMs += 100) throttle.ended(429, nowMs);
  assert.equal(throttle.limit(60_000), 5);
  for (let nowMs = 60_000; nowMs < 120_000; nowMs += 100) throttle.ended(200, nowMs);
  assert.equal(throttle.limit(120_000), 100);
});

test('a few refusals are borne', () => {
  const throttle = new Throttle({ ...policy, limit: 100, adaptive: true });
  for (let index = 0; index < 600; index += 1) throttle.ended(index % 20 === 0 ? 429 : 200, 1 + index * 10);
  assert.equal(throttle.limit(10_000), 100);
});

test("a destination's own configuration wins field by field, and nonsense in it does not count", () => {
  const loaded = loadConfig(settingsSchema, { environment: { SLUICE_ROUTER_THROTTLE_LIMIT: '50' }, flags: [] });
  assert.ok(loaded.ok);
  const of = (throttle: unknown, shares = 1) =>
    throttlePolicyOf(loaded.settings, { ...makeDestination('d1'), config: { throttle } }, shares);
  assert.equal(of(undefined).limit, 50);
  assert.deepEqual(of({ limit: 7, timeWindowMs: 60_000 }), { ...policy, limit: 7, windowMs: 60_000 });
  assert.equal(of({ limit: 0 }).limit, 0);
  assert.equal(of({ limit: 'many', timeWindowMs: -1, adaptive: 'yes' }).limit, 50);
  assert.equal(of({ limit: 8 }, 4).limit, 2);
  assert.equal(throttlePolicyOf(loaded.settings, undefined, 1).limit, 50);
});
