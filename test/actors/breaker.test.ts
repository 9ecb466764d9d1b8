// When a destination counts as down, and how it is found up again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Breaker, isDown } from '../../actors/router/breaker.ts';

const policy = { failures: 3, probeMsMin: 1_000, probeMsMax: 8_000 };

function opened(): Breaker {
  const breaker = new Breaker(policy);
  for (let failure = 0; failure < 3; failure += 1) {
    breaker.sent();
    breaker.ended(true, 100);
  }
  return breaker;
}

test('opens after failures in a row, and not when one in between was answered', () => {
  const breaker = new Breaker(policy);
  assert.equal(breaker.ended(true, 1), undefined);
  assert.equal(breaker.ended(true, 2), undefined);
  assert.equal(breaker.ended(false, 3), undefined);
  assert.equal(breaker.ended(true, 4), undefined);
  assert.equal(breaker.ended(true, 5), undefined);
  assert.equal(breaker.waitUntilMs(5), 0);
  assert.equal(breaker.ended(true, 6), 'opened');
  assert.equal(breaker.openedAtMs, 6);
  assert.equal(breaker.waitUntilMs(6), 1_006);
});

test('sends one probe at a time, further and further apart, until one is answered', () => {
  const breaker = opened();
  let nowMs = 100;
  const gaps: number[] = [];
  for (let probe = 0; probe < 6; probe += 1) {
    const atMs = breaker.waitUntilMs(nowMs);
    gaps.push(atMs - nowMs);
    nowMs = atMs;
    assert.equal(breaker.waitUntilMs(nowMs), 0);
    breaker.sent();
    assert.equal(breaker.waitUntilMs(nowMs), Number.POSITIVE_INFINITY);
    assert.equal(breaker.ended(true, nowMs), undefined);
  }
  assert.deepEqual(gaps, [1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  breaker.sent();
  assert.equal(breaker.ended(false, nowMs), 'closed');
  assert.equal(breaker.waitUntilMs(nowMs), 0);
  assert.equal(breaker.openedAtMs, 0);
});

test('failures of requests that were on their way when it opened do not put the probe off', () => {
  const breaker = opened();
  for (let late = 0; late < 50; late += 1) breaker.ended(true, 150);
  assert.equal(breaker.waitUntilMs(200), 1_100);
});

test('never opens when it is switched off', () => {
  const breaker = new Breaker({ ...policy, failures: 0 });
  for (let failure = 0; failure < 1_000; failure += 1) assert.equal(breaker.ended(true, failure), undefined);
});

test('whatever happens, an open breaker always names a time to ask again or has a probe on its way', () => {
  const step = fc.record({ sent: fc.boolean(), down: fc.boolean(), afterMs: fc.integer({ min: 0, max: 20_000 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const breaker = new Breaker(policy);
      let nowMs = 1;
      let inFlight = 0;
      for (const { sent, down, afterMs } of steps) {
        nowMs += afterMs;
        if (sent && breaker.waitUntilMs(nowMs) === 0) {
          breaker.sent();
          inFlight += 1;
        } else if (inFlight > 0) {
          inFlight -= 1;
          breaker.ended(down, nowMs);
        }
        const waitUntilMs = breaker.waitUntilMs(nowMs);
        if (waitUntilMs === Number.POSITIVE_INFINITY) assert.ok(inFlight > 0);
        else assert.ok(waitUntilMs === 0 || (waitUntilMs > nowMs && waitUntilMs <= nowMs + policy.probeMsMax));
      }
    }),
  );
});

test('an answer that a job is wrong or that there is too much says that the destination is up', () => {
  for (const code of [200, 298, 301, 400, 401, 404, 429]) assert.ok(!isDown(code), String(code));
  for (const code of [0, 408, 500, 503, 504, 599]) assert.ok(isDown(code), String(code));
});
