// A stall is told from idleness: only silence of the counter and of the thread itself counts.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { StallWatch } from '../../runtime/stall-watch.ts';

function setup(checksMax: number) {
  const heartbeat = new Int32Array(1);
  const answers: (() => void)[] = [];
  const refusals: (() => void)[] = [];
  const probe = () =>
    new Promise<void>((resolve, reject) => {
      answers.push(resolve);
      refusals.push(() => reject(new Error('no answer in time')));
    });
  const watch = new StallWatch({ heartbeat, probe, checksMax });
  return { heartbeat, answers, refusals, watch };
}

const times = (count: number, run: () => boolean) => Array.from({ length: count }, run);

test('a thread without turns and without an answer is stalled after the given number of checks, once', () => {
  const { watch } = setup(3);
  assert.deepEqual(
    times(7, () => watch.check()),
    [false, false, false, true, false, false, false],
  );
  assert.equal(watch.stalled, true);
});

test('a thread that takes turns is never asked and never stalled', () => {
  const { watch, heartbeat, answers } = setup(1);
  for (let turn = 0; turn < 10; turn += 1) {
    Atomics.add(heartbeat, 0, 1);
    assert.equal(watch.check(), false);
  }
  assert.equal(answers.length, 0);
});

test('an idle thread that answers is not stalled', async () => {
  const { watch, answers } = setup(2);
  for (let round = 0; round < 10; round += 1) {
    assert.equal(watch.check(), false);
    answers.at(-1)?.();
    await Promise.resolve();
  }
  assert.equal(watch.stalled, false);
});

test('a turn ends a stall, and the next one is reported again', () => {
  const { watch, heartbeat } = setup(2);
  assert.deepEqual(
    times(3, () => watch.check()),
    [false, false, true],
  );
  Atomics.add(heartbeat, 0, 1);
  assert.equal(watch.check(), false);
  assert.equal(watch.stalled, false);
  assert.deepEqual(
    times(2, () => watch.check()),
    [false, true],
  );
});

test('a probe that times out does not excuse the thread', async () => {
  const { watch, refusals } = setup(2);
  assert.deepEqual(
    times(2, () => watch.check()),
    [false, false],
  );
  refusals[0]?.();
  await Promise.resolve();
  assert.deepEqual(
    times(2, () => watch.check()),
    [false, true],
  );
});
