// The intake stops before the disk is full and goes on when there is room again, whatever a single look says.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { DiskWatch, intakeBytesFreeMin } from '../../actors/disk-watch.ts';
import { diskBytesFreeMin } from '../../actors/start-checks.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';

function setup(answers: readonly (number | Error)[]) {
  const clock = new VirtualClock();
  const logged: string[] = [];
  const note = (_fields: Record<string, unknown>, text: string): void => void logged.push(text);
  let looks = 0;
  const watch = new DiskWatch({
    folder: '/data',
    clock,
    log: { warn: note, info: note },
    freeBytes: async () => {
      const answer = answers[looks] ?? intakeBytesFreeMin;
      looks += 1;
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  return { watch, clock, logged };
}

test('events are refused below the reserve and accepted again above it, and each change is logged once', async () => {
  const low = intakeBytesFreeMin - 1;
  const { watch, logged } = setup([intakeBytesFreeMin, low, low, intakeBytesFreeMin]);
  const seen: boolean[] = [];
  for (let look = 0; look < 4; look += 1) {
    await watch.start();
    seen.push(watch.isLow);
  }
  assert.deepEqual(seen, [false, true, true, false]);
  assert.equal(logged.length, 2);
});

test('a look that fails changes nothing', async () => {
  const { watch } = setup([0, new Error('stale handle')]);
  await watch.start();
  await watch.start();
  assert.equal(watch.isLow, true);
});

test('a program that refuses events for lack of space may still start', () => {
  assert.ok(intakeBytesFreeMin > diskBytesFreeMin);
});
