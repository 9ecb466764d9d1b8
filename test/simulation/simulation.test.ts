// The seeds every change must survive, and the proof that a seed is a replay: the same one twice is the same run.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSimulation } from './simulate.ts';

const seeds = 240;

test(`the invariants hold under ${seeds} seeds of faults`, async () => {
  const seen = { kills: 0, moves: 0, deliveries: 0 };
  for (let seed = 1; seed <= seeds; seed += 1) {
    const result = await runSimulation(seed);
    const replay = `replay: npm run simulate -- --seeds 1 --seed ${seed}`;
    assert.deepEqual(result.violations, [], `${result.lastEvents.slice(-20).join('\n')}\nseed ${seed}; ${replay}`);
    seen.kills += result.kills;
    seen.moves += result.moves;
    seen.deliveries += result.deliveries;
  }
  // A simulation in which nothing goes wrong proves nothing.
  assert.ok(seen.kills > 50, `expected threads to be killed, got ${seen.kills}`);
  assert.ok(seen.moves > 50, `expected actors to be moved, got ${seen.moves}`);
  assert.ok(seen.deliveries > seeds * 40, `expected every item to be delivered, got ${seen.deliveries}`);
});

test('the same seed gives the same run, event for event, and another seed another', async () => {
  for (const seed of [7, 21, 102]) {
    const first = await runSimulation(seed);
    const second = await runSimulation(seed);
    assert.equal(first.eventHash, second.eventHash);
    assert.equal(first.steps, second.steps);
  }
  const one = await runSimulation(1);
  const two = await runSimulation(2);
  assert.notEqual(one.eventHash, two.eventHash);
});
