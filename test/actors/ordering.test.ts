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
      assert.deepEqual(ordering.stats(), { jobs: 0, blockedJobs: 0, users: 0, relaxedUsers: 0 });
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

test('a job leaves once', () => {
  const ordering = new Ordering<number>();
  const place = ordering.enter(['ann'], 1);
  ordering.leave(place);
  assert.throws(() => ordering.leave(place), /leave the barrier once/);
});

test('jobs that leave from the middle of a line change nobody else’s turn', () => {
  fc.assert(
    fc.property(jobs, fc.infiniteStream(fc.nat(1000)), (lists, picks) => {
      const ordering = new Ordering<Entry>();
      const inside = lists.map((keys, id) => ordering.enter(keys, { id, keys }));
      for (const pick of picks) {
        const [leaving] = inside.splice(pick % Math.max(1, inside.length), 1);
        if (leaving === undefined) break;
        const readyBefore = inside.filter(({ blockedBy }) => blockedBy === 0);
        const released = ordering.leave(leaving);
        const allowed = inside.filter(
          (place, index) => !inside.slice(0, index).some((older) => sharesKey(older.payload, place.payload)),
        );
        assert.deepEqual(new Set([...readyBefore, ...released]), new Set(allowed));
        assert.equal(released.length, new Set(released).size);
        assert.equal(ordering.stats().blockedJobs, inside.length - allowed.length);
      }
    }),
  );
});

test('what may follow into a request is what has nothing before it but members, and all of it is found', () => {
  fc.assert(
    fc.property(jobs, (lists) => {
      const ordering = new Ordering<Entry>();
      const inside = lists.map((keys, id) => ordering.enter(keys, { id, keys }));
      const [first] = inside;
      const members = first === undefined ? [] : [first];
      for (const member of members) {
        for (const next of ordering.followers(member, (place) => members.includes(place))) {
          assert.ok(!members.includes(next));
          members.push(next);
        }
      }
      const expected = new Set(first === undefined ? [] : [first]);
      for (const place of inside) {
        const older = inside.filter(
          ({ payload }) => payload.id < place.payload.id && sharesKey(payload, place.payload),
        );
        if (older.length > 0 && older.every((one) => expected.has(one))) expected.add(place);
      }
      assert.deepEqual(new Set(members), expected);
    }),
  );
});

test('after a failed job was given up its user’s jobs go one by one until one succeeds', () => {
  const ordering = new Ordering<number>();
  const [first, second, third, fourth] = [1, 2, 3, 4].map((id) => ordering.enter(['ann'], id));
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const after = (place: Place<number>) => ordering.followers(place, (one) => one === place);
  assert.deepEqual(ordering.leave(first, 'abortedAfterFailure'), [second]);
  assert.deepEqual(after(second), []);
  ordering.leave(second, 'otherwise');
  assert.deepEqual(after(third), []);
  ordering.leave(third, 'succeeded');
  assert.ok(fourth !== undefined);
  const fifth = ordering.enter(['ann'], 5);
  assert.deepEqual(after(fourth), [fifth]);
});

test('a line that is too long is given up, and comes back', () => {
  const policy = { jobsPerKeyMax: 3, suspendedMs: 100, halfEnabledMs: 50 };
  const ordering = new Ordering<number>(policy);
  const enter = (id: number, nowMs: number, keys = ['server']) => {
    const place = ordering.enter(keys, id, nowMs);
    return { place, released: ordering.relax(place, nowMs).map(({ payload }) => payload) };
  };
  const first = enter(1, 0);
  for (const id of [2, 3]) assert.deepEqual(enter(id, 0).released, []);
  const bound = enter(4, 0, ['server', 'ann']);
  assert.deepEqual(bound.released, [2, 3, 4]);
  assert.equal(enter(5, 0, ['ann']).place.blockedBy, 1, 'other keys keep their order');
  assert.equal(ordering.modeOf('server', 99), 'suspended');
  assert.equal(enter(6, 99).place.blockedBy, 0);
  assert.equal(ordering.modeOf('server', 100), 'half-enabled');
  const seventh = enter(7, 100);
  assert.equal(enter(8, 100).place.blockedBy, 1);
  assert.equal(ordering.modeOf('server', 150), 'enabled');
  assert.deepEqual(ordering.leave(first.place), [], 'it stands in no line any more');
  assert.deepEqual(
    ordering.leave(seventh.place).map(({ payload }) => payload),
    [8],
  );
});

test('jobs without an identity do not wait for each other', () => {
  const ordering = new Ordering<number>();
  assert.equal(ordering.enter([''], 1).blockedBy, 0);
  assert.equal(ordering.enter([''], 2).blockedBy, 0);
  assert.deepEqual(ordering.stats(), { jobs: 2, blockedJobs: 0, users: 0, relaxedUsers: 0 });
});
