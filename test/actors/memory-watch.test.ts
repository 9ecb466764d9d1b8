// Events are refused while memory is nearly used up, and accepted again when it is not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryWatch } from '../../actors/memory-watch.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';

function setup(bytesMax: number) {
  const clock = new VirtualClock();
  const used = { bytes: 0 };
  const log = { warn: () => {}, info: () => {} };
  const watch = new MemoryWatch({ bytesMax, limitBytes: () => 1_000, residentBytes: () => used.bytes, clock, log });
  watch.start();
  const look = (bytes: number) => {
    used.bytes = bytes;
    clock.fireNext();
    return watch.isLow;
  };
  return { look };
}

test('takes a share of what the process may use, looked at again and again', () => {
  const { look } = setup(0);
  assert.deepEqual([look(850), look(851), look(850)], [false, true, false]);
});

test('takes the setting when there is one', () => {
  const { look } = setup(100);
  assert.deepEqual([look(100), look(101)], [false, true]);
});
