// Placement: the same answer everywhere, an even spread, and no movement that is not needed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatAddress, hashAddress, parseAddress } from '../../runtime/address.ts';
import { chooseThread, Placement, withPin } from '../../runtime/placement.ts';

const threads = fc.uniqueArray(fc.nat(500), { minLength: 1, maxLength: 16 });
const keys = fc.array(fc.string({ maxLength: 20 }), { minLength: 1, maxLength: 100 });

test('the order in which threads are listed does not matter', () => {
  fc.assert(
    fc.property(threads, keys, (ids, someKeys) => {
      for (const key of someKeys) {
        const hash = hashAddress('router', key);
        assert.equal(chooseThread(hash, ids), chooseThread(hash, [...ids].reverse()));
      }
    }),
  );
});

test('when a thread leaves only its own actors move, when it joins they move only to it', () => {
  fc.assert(
    fc.property(threads, keys, fc.nat(), (ids, someKeys, index) => {
      const gone = ids[index % ids.length];
      const rest = ids.filter((threadId) => threadId !== gone);
      for (const key of someKeys) {
        const hash = hashAddress('router', key);
        const before = chooseThread(hash, ids);
        if (before !== gone) assert.equal(chooseThread(hash, rest), before);
      }
    }),
  );
});

test('ten thousand partitions spread evenly over the threads', () => {
  for (const count of [2, 3, 7, 15]) {
    const ids = Array.from({ length: count }, (_, index) => index + 1);
    const perThread = new Map<number, number>();
    for (let index = 0; index < 10_000; index += 1) {
      const owner = chooseThread(hashAddress('processor', `workspace-1:source-${index}`), ids) ?? -1;
      perThread.set(owner, (perThread.get(owner) ?? 0) + 1);
    }
    for (const threadId of ids) {
      const share = (perThread.get(threadId) ?? 0) / (10_000 / count);
      assert.ok(share > 0.85 && share < 1.15, `thread ${threadId} of ${count} has ${share} of its share`);
    }
  }
});

test('a pin overrules the hash, unless its thread is not of the role', () => {
  const table = { epoch: 1, threadsByRole: { worker: [1, 2, 3] }, pins: {} };
  const hashed = new Placement(table).ownerOf('worker', 'router', 'a') ?? 0;
  const other = (hashed % 3) + 1;
  const pinned = withPin(table, 'router/a', other);
  assert.equal(pinned.epoch, 2);
  assert.equal(new Placement(pinned).ownerOf('worker', 'router', 'a'), other);
  assert.equal(new Placement(withPin(pinned, 'router/a', 9)).ownerOf('worker', 'router', 'a'), hashed);
  assert.equal(new Placement(withPin(pinned, 'router/a', undefined)).ownerOf('worker', 'router', 'a'), hashed);
  assert.equal(new Placement(table).ownerOf('storage', 'router', 'a'), undefined);
});

test('a printed address reads back, slashes in the key included', () => {
  fc.assert(
    fc.property(fc.string(), (key) => {
      const address = { kind: 'batch-router', key };
      assert.deepEqual(parseAddress(formatAddress(address)), address);
    }),
  );
  assert.throws(() => parseAddress('no-slash'), TypeError);
});
