// The disk's levels and the ballast: less is taken in step by step, and nothing flaps.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { type DiskLevel, DiskWatch, diskLevel } from '../../actors/disk-watch.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';

const marks = { warnBytes: 4_000, shedBytes: 1_000, refuseBytes: 800 };

function setup(answers: readonly (number | Error)[]) {
  const logged: string[] = [];
  const note = (_fields: Record<string, unknown>, text: string): void => void logged.push(text);
  const ballast = {
    bytes: 500,
    isPresent: true,
    builds: 0,
    release: async () => {
      ballast.isPresent = false;
    },
    build: () => {
      ballast.builds += 1;
      ballast.isPresent = true;
    },
  };
  let looks = 0;
  const watch = new DiskWatch({
    folder: '/data',
    marks,
    ballast,
    clock: new VirtualClock(),
    log: { warn: note, info: note },
    freeBytes: async () => {
      const answer = answers[looks] ?? 0;
      looks += 1;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return { watch, ballast, logged };
}

test('each level begins below its mark and ends a tenth above it', () => {
  const steps: [number, DiskLevel][] = [
    [5_000, 'plenty'],
    [3_999, 'warn'],
    [4_100, 'warn'],
    [4_400, 'plenty'],
    [999, 'shed'],
    [799, 'refuse'],
    [850, 'refuse'],
    [880, 'shed'],
    [1_099, 'shed'],
    [1_100, 'warn'],
  ];
  let level: DiskLevel = 'plenty';
  for (const [free, expected] of steps) {
    level = diskLevel(free, level, marks);
    assert.equal(level, expected, `${free} free`);
  }
});

test('each change is logged once, and a look that fails changes nothing', async () => {
  const { watch, logged } = setup([799, 799, new Error('stale handle'), 5_000]);
  for (const expected of ['refuse', 'refuse', 'refuse', 'plenty']) {
    await watch.start();
    assert.equal(watch.level, expected);
  }
  assert.equal(logged.length, 3, 'full, unreadable, plenty');
});

test('the ballast goes when hardly anything is left, and comes back when there is plenty', async () => {
  const { watch, ballast } = setup([200, 99, 599, 4_400, 4_500, 4_000]);
  await watch.start();
  assert.equal(watch.ballastBytes, 500);
  await watch.start();
  assert.equal(watch.ballastBytes, 0);
  await watch.start();
  await watch.start();
  assert.equal(ballast.builds, 0, 'with it the disk would be below the first mark again');
  await watch.start();
  assert.equal(ballast.builds, 1);
  await watch.start();
  assert.equal(ballast.builds, 1);
});
