// Demand: never more than slots and bytes allow, and never nothing while nothing is held.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BytesBudget, Demand } from '../../actors/storage/demand.ts';

const mebibyte = 1024 * 1024;

function setup(slots: number, bytesMax = 32 * mebibyte, budget = new BytesBudget(256 * mebibyte)) {
  return { demand: new Demand({ slots, bytesMax, budget }), budget };
}

test('the first demand is small, the next fills the slots', () => {
  const { demand } = setup(1_000);
  assert.equal(demand.take(), 8);
  assert.equal(demand.take(), 0);
  demand.handed(8, 8 * 1_024);
  assert.equal(demand.take(), 992);
  assert.equal(demand.take(), 0);
  demand.released(8, 8 * 1_024);
  assert.equal(demand.take(), 8);
});

test('large jobs are asked for only as they fit', () => {
  const { demand } = setup(1_000);
  demand.take();
  demand.handed(8, 16 * mebibyte);
  assert.equal(demand.take(), 8);
  demand.handed(4, 8 * mebibyte);
  assert.equal(demand.take(), 0);
});

test('a job beyond every limit is still asked for, alone', () => {
  const { demand } = setup(10, mebibyte);
  assert.equal(demand.take(), 8);
  demand.handed(8, 40 * mebibyte);
  assert.equal(demand.take(), 0);
  demand.released(8, 40 * mebibyte);
  assert.equal(demand.take(), 1);
  assert.equal(demand.take(), 0);
});

test('a budget that others used up leaves every partition one job', () => {
  const budget = new BytesBudget(mebibyte);
  const { demand: hog } = setup(100, 32 * mebibyte, budget);
  hog.handed(hog.take(), 2 * mebibyte);
  const { demand } = setup(100, 32 * mebibyte, budget);
  demand.handed(demand.take(), 8 * 100);
  demand.released(8, 8 * 100);
  assert.equal(demand.take(), 1);
  hog.reset();
  assert.equal(budget.bytes, 0);
  assert.equal(demand.take(), 99);
});

test('held and asked for never exceed the slots, and the budget is exact', () => {
  const step = fc.record({ hand: fc.nat(100), free: fc.nat(100), bytes: fc.integer({ min: 1, max: 100_000 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.array(step), (slots, steps) => {
      const { demand, budget } = setup(slots);
      const held: number[] = [];
      let asked = 0;
      for (const { hand, free, bytes } of steps) {
        asked += demand.take();
        assert.ok(asked + held.length <= slots && asked + held.length > 0);
        const arrived = Math.min(hand, asked);
        demand.handed(arrived, arrived * bytes);
        asked -= arrived;
        for (let job = 0; job < arrived; job += 1) held.push(bytes);
        const gone = held.splice(0, free);
        demand.released(
          gone.length,
          gone.reduce((sum, one) => sum + one, 0),
        );
        assert.equal(
          budget.bytes,
          held.reduce((sum, one) => sum + one, 0),
        );
      }
    }),
  );
});
