// Shares of lanes as a pure function of what everybody sees: all of them together own every lane, nobody more than one
// more than another, and once everybody has his share nothing moves any more.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { isShort, type LeaseView, lanesToTake, laneToGive, shareOf } from '../../actors/storage/lease-plan.ts';

const memberLists = fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 8 });
const laneCounts = fc.integer({ min: 1, max: 64 });

/** Who owns which lane. */
type Owners = Map<number, number>;

function viewOf(self: number, members: readonly number[], lanes: number, owners: Owners): LeaseView {
  const own = new Set([...owners].flatMap(([lane, owner]) => (owner === self ? [lane] : [])));
  return { lanes, members, self, held: new Set(owners.keys()), own, abandoned: new Set() };
}

/** Everybody looks in turn and does what the plan says, until nobody does anything. Answers how many lanes moved. */
function settle(members: readonly number[], lanes: number, owners: Owners): number {
  let moves = 0;
  for (let isQuiet = false; !isQuiet; ) {
    isQuiet = true;
    for (const self of members) {
      const view = viewOf(self, members, lanes, owners);
      const taken = lanesToTake(view);
      for (const lane of taken) owners.set(lane, self);
      moves += taken.length;
      if (taken.length > 0) isQuiet = false;
      if (!isShort(view)) continue;
      for (const other of members) {
        const given = laneToGive(viewOf(other, members, lanes, owners));
        if (given === undefined) continue;
        owners.delete(given);
        isQuiet = false;
      }
    }
  }
  return moves;
}

test('shares add up to all lanes, and differ by one at most', () => {
  fc.assert(
    fc.property(memberLists, laneCounts, (members, lanes) => {
      const shares = members.map((self) => shareOf({ lanes, members, self }));
      assert.equal(
        shares.reduce((sum, share) => sum + share, 0),
        lanes,
      );
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
    }),
  );
});

test('members that come and go end with everybody at his share, and with as few moves as that takes', () => {
  fc.assert(
    fc.property(memberLists, memberLists, laneCounts, (before, after, lanes) => {
      const owners: Owners = new Map();
      settle(before, lanes, owners);
      const kept = new Map([...owners].filter(([, owner]) => after.includes(owner)));
      const surplus = (self: number): number =>
        [...kept.values()].filter((owner) => owner === self).length - shareOf({ lanes, members: after, self });
      const needed = lanes - kept.size + after.reduce((sum, self) => sum + Math.max(0, surplus(self)), 0);
      assert.equal(settle(after, lanes, kept), needed);
      for (const self of after) {
        assert.equal(viewOf(self, after, lanes, kept).own.size, shareOf({ lanes, members: after, self }));
      }
    }),
  );
});

test('a newcomer without a share of his own takes only what is abandoned', () => {
  const view = { lanes: 1, members: [1, 2], self: 2, held: new Set<number>(), own: new Set<number>() };
  assert.deepEqual(lanesToTake({ ...view, abandoned: new Set() }), []);
  assert.deepEqual(lanesToTake({ ...view, abandoned: new Set([0]) }), [0]);
  assert.deepEqual(lanesToTake({ ...view, abandoned: new Set([0]), held: new Set([0]) }), []);
});
