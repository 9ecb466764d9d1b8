// What is remembered of message ids: nothing that was seen within the window is forgotten, nothing that was not seen is
// found, and memory is bounded.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { DedupMemory } from '../../actors/processor/dedup-memory.ts';
import { DedupSet, HashTable } from '../../actors/processor/dedup-set.ts';
import { createMetrics } from '../../runtime/index.ts';

/** Few values, that collide in a small table. */
const hash = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom(0, 7));

test('a table holds exactly what was added and not deleted, however slots collide', () => {
  const command = fc.tuple(fc.constantFrom('add', 'delete'), hash);
  void fc.assert(
    fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
      const table = new HashTable();
      const model = new Set<string>();
      for (const [what, [low, high]] of commands) {
        const key = `${low} ${high}`;
        if (what === 'delete') assert.equal(table.delete(low, high), model.delete(key));
        else if (!model.has(key)) {
          table.add(low, high);
          model.add(key);
        }
        assert.equal(table.size, model.size);
      }
      for (let low = 1; low <= 40; low += 1) {
        for (const high of [0, 7]) assert.equal(table.has(low, high), model.has(`${low} ${high}`));
      }
    }),
  );
});

test('a set finds what was seen within the window, and nothing from more than a quarter before it', () => {
  const windowMs = 1_000;
  const step = fc.tuple(fc.integer({ min: -300, max: 700 }), hash);
  void fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const set = new DedupSet(windowMs);
      const seen = new Map<string, number>();
      let nowMs = 1_790_000_000_000;
      // Nothing has come yet: the first event may be older than the clock.
      let newestMs = Number.NEGATIVE_INFINITY;
      let size = 0;
      for (const [passedMs, [low, high]] of steps) {
        nowMs += passedMs;
        newestMs = Math.max(newestMs, nowMs);
        const key = `${low} ${high}`;
        const seenMs = seen.get(key);
        size -= set.advance(nowMs);
        const isFound = set.has(low, high);
        // What comes late counts as seen when the newest was.
        const agoMs = newestMs - (seenMs ?? Number.NEGATIVE_INFINITY);
        if (agoMs <= windowMs) assert.ok(isFound, `${key} was seen ${agoMs} ms before`);
        if (agoMs >= windowMs * 1.25) assert.ok(!isFound, `${key} was not seen, or ${agoMs} ms before`);
        if (isFound) continue;
        set.add(low, high);
        size += 1;
        seen.set(key, newestMs);
        assert.equal(size, set.size);
      }
    }),
  );
});

test('an id is remembered for the whole window, and forgotten a quarter later', () => {
  const set = new DedupSet(4_000);
  set.advance(10_999);
  set.add(1, 1);
  set.advance(14_999);
  set.add(2, 2);
  assert.ok(set.has(1, 1), 'exactly the window later');
  assert.equal(set.advance(15_000), 1);
  assert.ok(!set.has(1, 1), 'five quarters later its table is gone');
  assert.ok(set.has(2, 2));
  assert.ok(!set.has(0, 0), 'what looks like a free slot is not there');
  set.add(0, 0);
  assert.ok(set.has(0, 0), 'and can be');
});

test('the memory of a thread is bounded: what can be read back goes first, then the oldest', () => {
  const metrics = createMetrics();
  const memory = new DedupMemory(100, metrics);
  const [idle, busy] = [memory.open('idle'), memory.open('busy')];
  for (let id = 1; id <= 40; id += 1) idle.add(id, 1, 1_000, 10_000);
  memory.close('idle');
  for (let id = 1; id <= 60; id += 1) busy.add(id, 2, 1_000, 10_000);
  assert.equal(memory.entries, 100);
  busy.add(61, 2, 1_000, 10_300);
  assert.equal(memory.entries, 61);
  assert.ok(busy.has(1, 2), 'what is open is kept');
  assert.ok(!memory.open('idle').has(1, 1), 'and read again when it is opened');
  for (let id = 1; id <= 40; id += 1) busy.add(id, 3, 1_000, 10_300);
  assert.ok(!busy.has(1, 2), 'the oldest quarter went');
  assert.ok(busy.has(40, 3));
  assert.equal(memory.entries, busy.size);
});
