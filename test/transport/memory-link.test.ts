// The in-memory link obeys the same rules as a port, and leaves every delivery to its scheduler.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { createMemoryLinks } from '../../transport/index.ts';
import { type CreateLinkPair, envelope, linkConformance } from './link-conformance.ts';

const createPair: CreateLinkPair = (_t, link) => {
  const tasks: (() => void)[] = [];
  const [left, right] = createMemoryLinks({ threads: [1, 2], schedule: (deliver) => tasks.push(deliver), link });
  const until = async (condition: () => boolean) => {
    while (!condition()) {
      const deliver = tasks.shift();
      assert(deliver !== undefined, 'expected the condition to hold once every frame was delivered');
      deliver();
    }
  };
  return { left, right, until };
};

linkConformance('memory link', createPair);

test('memory link: keeps the order of frames whatever order their tasks run in', () => {
  const tasks: (() => void)[] = [];
  const [left, right] = createMemoryLinks({ threads: [1, 2], schedule: (deliver) => tasks.push(deliver) });
  const received: number[] = [];
  right.onEnvelopes((envelopes) => received.push(...envelopes.map((one) => one.askId)));
  for (const askId of [0, 1, 2, 3]) {
    left.send(envelope({ askId }));
    left.flush();
  }
  for (const deliver of tasks.reverse()) deliver();
  assert.deepEqual(received, [0, 1, 2, 3]);
});

test('memory link: tells the scheduler between which threads a frame travels', () => {
  const directions: { from: number; to: number }[] = [];
  const [left, right] = createMemoryLinks({
    threads: [1, 2],
    schedule: (_deliver, direction) => directions.push(direction),
  });
  left.send(envelope());
  left.flush();
  right.send(envelope());
  right.flush();
  assert.deepEqual([left.peer, right.peer], [2, 1]);
  assert.deepEqual(directions, [
    { from: 1, to: 2 },
    { from: 2, to: 1 },
  ]);
});
