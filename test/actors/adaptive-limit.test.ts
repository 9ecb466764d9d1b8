// Limits that follow memory: never beyond them, less when there is less, all of them again when there is plenty, and never
// so little that nothing goes on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AdaptiveLimit } from '../../actors/storage/adaptive-limit.ts';
import { BytesBudget, Demand } from '../../actors/storage/demand.ts';

const freeShares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 40 });

function after(looks: readonly number[]): number {
  const limit = new AdaptiveLimit();
  for (const free of looks) limit.look(free);
  return limit.share;
}

test('the share stays between nothing and all, and each look moves it by a tenth at most, but for the worst', () => {
  fc.assert(
    fc.property(freeShares, (looks) => {
      let before = 1;
      for (const [index, free] of looks.entries()) {
        const share = after(looks.slice(0, index + 1));
        assert.ok(share >= 0 && share <= 1);
        if (free <= 0.1) assert.equal(share, 0);
        else if (free <= 0.3) assert.ok(share <= Math.max(before, 0.1) && share >= 0.1);
        else assert.ok(share > before || share === 1);
        before = share;
      }
    }),
  );
});

test('less memory never gives more room', () => {
  const less = freeShares.chain((looks) =>
    fc.tuple(
      fc.constant(looks),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: looks.length, maxLength: looks.length }),
    ),
  );
  fc.assert(
    fc.property(less, ([looks, cuts]) => {
      const lower = looks.map((free, index) => free * (cuts[index] ?? 1));
      assert.ok(after(lower) <= after(looks));
    }),
  );
});

test('after ten looks with plenty everything is allowed again', () => {
  fc.assert(fc.property(freeShares, (looks) => assert.equal(after([...looks, ...Array(10).fill(0.9)]), 1)));
});

test('whatever the share, a partition with nothing in hand asks for a job, and never beyond its share', () => {
  const moves = fc.array(fc.record({ free: fc.double({ min: 0, max: 1, noNaN: true }), release: fc.nat(20) }));
  fc.assert(
    fc.property(moves, fc.integer({ min: 1, max: 5_000 }), (steps, jobBytes) => {
      const limit = new AdaptiveLimit();
      const budget = new BytesBudget(100_000, limit);
      const demand = new Demand({ slots: 40, bytesMax: 50_000, budget });
      let held = 0;
      for (const { free, release } of steps) {
        limit.look(free);
        const given = Math.min(held, release);
        demand.released(given, given * jobBytes);
        held -= given;
        const before = held;
        const more = demand.take();
        if (before === 0) assert.ok(more >= 1);
        if (before > 0) assert.ok(more === 0 || before + more <= Math.max(1, Math.floor(40 * limit.share)));
        if (limit.share === 0) assert.ok(before + more <= Math.max(1, before));
        demand.handed(more, more * jobBytes);
        held += more;
      }
    }),
  );
});
