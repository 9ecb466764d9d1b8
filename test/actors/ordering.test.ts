// The per-user barrier, held against its definition: a job may be sent only when no older unfinished job shares a key.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ordering, type Place } from '../../actors/router/ordering.ts';

interface Entry {
  id: number;
  keys: string[];
}

const key = fc.constantFrom('ann', 'ben', 'anon-1', 'anon-2', 'anon-3', '');
const jobs = fc.array(fc.uniqueArray(key, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 30 });
/** Which of the ready jobs ends next, and how many enter before. */
const steps = fc.array(fc.record({ enter: fc.nat(3), pick: fc.nat(1000) }), { maxLength: 80 });

function sharesKey(a: Entry, b: Entry): boolean {
  return a.keys.some((one) => one !== '' && b.keys.includes(one));
}

test('the jobs that may be sent are exactly those no older unfinished job of the same user precedes', () => {
  fc.assert(
    fc.property(jobs, steps, (lists, plan) => {
      const ordering = new Ordering<Entry>();
      const waiting = lists.map((keys, id) => ({ id, keys }));
      const inside: Place<Entry>[] = [];
      const ready = new Set<Place<Entry>>();
      for (const { enter, pick } of plan) {
        for (const entry of waiting.splice(0, enter)) {
          const place = ordering.enter(entry.keys, entry);
          inside.push(place);
          if (place.blockedBy === 0) ready.add(place);
        }
        const leaving = [...ready][pick % Math.max(1, ready.size)];
        if (leaving !== undefined) {
          ready.delete(leaving);
          inside.splice(inside.indexOf(leaving), 1);
          for (const released of ordering.leave(leaving)) ready.add(released);
        }
        const allowed = inside.filter(
          (place, index) => !inside.slice(0, index).some((older) => sharesKey(older.payload, place.payload)),
        );
        assert.deepEqual(
          [...ready].sort((a, b) => a.payload.id - b.payload.id),
          allowed,
        );
        const { jobs: held, blockedJobs } = ordering.stats();
        assert.deepEqual({ held, blockedJobs }, { held: inside.length, blockedJobs: inside.length - allowed.length });
      }
    }),
  );
});

test('whatever enters can leave: no two lines wait for each other', () => {
  fc.assert(
    fc.property(jobs, fc.infiniteStream(fc.nat(1000)), (lists, picks) => {
      const ordering = new Ordering<Entry>();
      const places = lists.map((keys, id) => ordering.enter(keys, { id, keys }));
      const ready = places.filter((place) => place.blockedBy === 0);
      let left = 0;
      for (const pick of picks) {
        const [leaving] = ready.splice(pick % Math.max(1, ready.length), 1);
        if (leaving === undefined) break;
        left += 1;
        ready.push(...ordering.leave(leaving));
      }
      assert.equal(left, lists.length);
      assert.deepEqual(ordering.stats(), { jobs: 0, blockedJobs: 0, users: 0 });
    }),
  );
});

test('a job that becomes known keeps its place behind the anonymous events before it and the known ones', () => {
  const ordering = new Ordering<string>();
  const anonymous = ordering.enter(['anon-1'], 'page as anonymous');
  const known = ordering.enter(['ann'], 'track on another device');
  const identify = ordering.enter(['anon-1', 'ann'], 'identify');
  assert.equal(identify.blockedBy, 2);
  assert.deepEqual(ordering.leave(anonymous), []);
  assert.deepEqual(ordering.leave(known), [identify]);
});

test('a blocked job cannot leave', () => {
  const ordering = new Ordering<number>();
  ordering.enter(['ann'], 1);
  const second = ordering.enter(['ann'], 2);
  assert.throws(() => ordering.leave(second), /first under each of its keys/);
});

test('jobs without an identity do not wait for each other', () => {
  const ordering = new Ordering<number>();
  assert.equal(ordering.enter([''], 1).blockedBy, 0);
  assert.equal(ordering.enter([''], 2).blockedBy, 0);
  assert.deepEqual(ordering.stats(), { jobs: 2, blockedJobs: 0, users: 0 });
});
