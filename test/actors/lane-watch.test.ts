// The last resort against a writer that hangs: it trips once, and only for one attempt that lasts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchLane } from '../../actors/storage/lane-watch.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';

function setup() {
  const clock = new VirtualClock();
  const stuck: Error[] = [];
  const writer = { attempt: 0 };
  const end = watchLane({ lane: 3, writer, clock, stuckMs: 10_000, onStuck: (error) => stuck.push(error) });
  const pass = (seconds: number): void => {
    const untilMs = clock.monotonicMs() + seconds * 1_000;
    while (clock.fireNext(untilMs));
    clock.spend(Math.max(0, untilMs - clock.monotonicMs()));
  };
  return { stuck, writer, end, pass };
}

test('an attempt without end is told once', () => {
  const { stuck, writer, pass } = setup();
  writer.attempt = 1;
  pass(9);
  assert.deepEqual(stuck, []);
  pass(60);
  assert.equal(stuck.length, 1);
  assert.match(String(stuck[0]), /writer of lane 3 .* 10 s without end/);
});

test('attempts that end, however many, and a writer at rest are not stuck', () => {
  const { stuck, writer, end, pass } = setup();
  pass(100);
  for (let attempt = 1; attempt < 10; attempt += 1) {
    writer.attempt = attempt;
    pass(8);
  }
  end();
  pass(100);
  assert.deepEqual(stuck, []);
});
