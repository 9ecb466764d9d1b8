// The deadline of a drain only comes nearer, and every group keeps its share of it.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { DrainClock } from '../../runtime/drain-clock.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';

test('later groups keep a fifth of the deadline each, however long the first ones take', () => {
  const clock = new VirtualClock();
  const drain = new DrainClock(clock, 10_000, 0);
  assert.equal(drain.shareMs(2), 6_000);
  clock.spend(6_000);
  assert.equal(drain.shareMs(1), 2_000);
  clock.spend(2_000);
  assert.equal(drain.shareMs(0), 2_000);
});

test('shares are never negative and never more than what is left', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.array(fc.nat(30_000)), fc.nat(10), (deadlineMs, steps, laterGroups) => {
      const clock = new VirtualClock();
      const drain = new DrainClock(clock, deadlineMs, 100);
      for (const step of steps) {
        clock.spend(step);
        assert(drain.shareMs(laterGroups) >= 0);
        assert(drain.shareMs(laterGroups) <= drain.remainingMs());
      }
    }),
  );
});

test('a later deadline is ignored, an earlier one counts from now', () => {
  const clock = new VirtualClock();
  const drain = new DrainClock(clock, 10_000, 0);
  clock.spend(1_000);
  assert.equal(drain.shorten(20_000), false);
  assert.equal(drain.remainingMs(), 9_000);
  assert.equal(drain.shorten(500), true);
  assert.equal(drain.remainingMs(), 500);
});

test('it expires its grace after the deadline, wherever that was moved to', async () => {
  const clock = new VirtualClock();
  const drain = new DrainClock(clock, 10_000, 100);
  drain.shorten(1_000);
  assert.equal(clock.nextDueMs(), 1_100);
  assert.equal(clock.fireNext(1_099), false);
  assert.equal(clock.fireNext(), true);
  await drain.expired;
});
