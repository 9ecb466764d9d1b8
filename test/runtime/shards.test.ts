// Splitting a partition: every user has one shard, always the same, so order per user is kept; load spreads evenly.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { defineActor, partitionOf, Shards, shardsMax } from '../../runtime/index.ts';
import { testRuntime } from '../support/test-runtime.ts';

interface Note {
  user: string;
  value: number;
}

test('the messages of each user are handled by one shard in the order they were told', async () => {
  const property = fc.asyncProperty(
    fc.integer({ min: 1, max: 16 }),
    fc.array(fc.string({ maxLength: 3 }), { maxLength: 200 }),
    async (shards, users) => {
      const handled: (Note & { key: string })[] = [];
      const sink = defineActor<Note>({
        kind: 'sink',
        role: 'any',
        create: (context) => ({
          onMessage: async (message) => {
            // Shards overtake one another, which must not matter.
            for (let turns = context.key.length % 3; turns > 0; turns -= 1) await Promise.resolve();
            handled.push({ ...message, key: context.key });
          },
        }),
      });
      const runtime = testRuntime({ definitions: [sink] });
      const split = new Shards('ws1:src1', shards);
      for (const [value, user] of users.entries()) {
        assert.equal(runtime.ref<Note>('sink', split.keyOf(user)).tell({ user, value }), true);
      }
      await runtime.settle();
      for (const user of new Set(users)) {
        const mine = handled.filter((one) => one.user === user);
        const values = users.flatMap((one, value) => (one === user ? [value] : []));
        assert.deepEqual(
          mine.map(({ value }) => value),
          values,
        );
        assert.deepEqual([...new Set(mine.map(({ key }) => key))], [split.keyOf(user)]);
      }
      await runtime.stop();
    },
  );
  await fc.assert(property, { numRuns: 50 });
});

test('users spread evenly over the shards', () => {
  const split = new Shards('p', 8);
  const counts = new Map<string, number>();
  for (let user = 0; user < 8000; user += 1) {
    const key = split.keyOf(`user-${user}`);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].sort(), [...split.keys]);
  for (const count of counts.values()) assert.ok(count > 850 && count < 1150, `expected about 1000, got ${count}`);
});

test('a shard knows its partition, whatever the partition is called', () => {
  const names = fc.string().filter((name) => !/#\d+$/.test(name));
  const property = fc.property(
    names,
    fc.string(),
    fc.integer({ min: 1, max: shardsMax }),
    (partition, user, shards) => {
      const split = new Shards(partition, shards);
      const key = split.keyOf(user);
      assert.equal(partitionOf(key), partition);
      assert.ok(shards > 64 || split.keys.includes(key));
    },
  );
  fc.assert(property);
});

test('a number of shards that is none is refused', () => {
  for (const shards of [0, -1, 1.5, Number.NaN, shardsMax + 1]) {
    assert.throws(() => new Shards('p', shards), RangeError);
  }
});
