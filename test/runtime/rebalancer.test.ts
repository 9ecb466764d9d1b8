// When the rebalancer moves actors: only after enough looks agree, not too often, and only where there is a choice.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { realTurn, rebalancerDefaults, virtualSeams } from '../../runtime/index.ts';
import { Rebalancer, type ThreadLoad } from '../../runtime/rebalancer.ts';

interface Fixture {
  moved: string[];
  /** As many seconds, one look each. */
  pass(seconds: number): Promise<void>;
  load(threadId: number, utilization: number, hot?: Record<string, number>): void;
  lose(threadId: number): void;
  lines: string[];
}

function setup(t: TestContext, refuse = false): Fixture {
  const { clock } = virtualSeams(1);
  const loads = new Map<number, ThreadLoad>();
  const moved: string[] = [];
  const lines: string[] = [];
  const note = (_fields: object, text: string): void => void lines.push(text);
  const rebalancer = new Rebalancer({
    clock,
    log: { debug: note, info: note, warn: note, error: note },
    options: rebalancerDefaults,
    look: async () => [...loads.values()],
    move: async ({ kind, key }, threadId) => {
      if (refuse) throw new Error('it stays');
      moved.push(`${kind}/${key} to ${threadId}`);
    },
  });
  rebalancer.start();
  t.after(() => rebalancer.stop());
  return {
    moved,
    lines,
    load: (threadId, utilization, hot = {}) => {
      const actors = Object.entries(hot).map(([address, busyMs]) => ({ address, busyMs }));
      loads.set(threadId, { threadId, role: 'worker', utilization, actors: 100, hot: actors });
    },
    lose: (threadId) => void loads.delete(threadId),
    pass: async (seconds) => {
      for (let second = 0; second < seconds; second += 1) {
        clock.fireNext(clock.monotonicMs() + 1000);
        await realTurn();
      }
    },
  };
}

test('an actor moves once a thread was hot and another cool for ten looks in a row', async (t) => {
  const { moved, load, pass } = setup(t);
  load(1, 0.95, { 'router/warm': 300 });
  load(2, 0.2);
  await pass(9);
  assert.deepEqual(moved, []);
  await pass(1);
  assert.deepEqual(moved, ['router/warm to 2']);
});

test('one calm look starts the count again', async (t) => {
  const { moved, load, pass } = setup(t);
  load(1, 0.95, { 'router/warm': 300 });
  load(2, 0.2);
  await pass(5);
  load(1, 0.5, { 'router/warm': 300 });
  await pass(1);
  load(1, 0.95, { 'router/warm': 300 });
  await pass(9);
  assert.deepEqual(moved, []);
  await pass(1);
  assert.equal(moved.length, 1);
});

test('a thread that was lost meanwhile must be seen anew', async (t) => {
  const { moved, load, lose, pass } = setup(t);
  load(1, 0.95, { 'router/warm': 300 });
  load(2, 0.2);
  await pass(5);
  lose(2);
  await pass(1);
  load(2, 0.2);
  await pass(9);
  assert.deepEqual(moved, []);
  await pass(1);
  assert.equal(moved.length, 1);
});

test('at most four actors move in a minute, and load is seen anew after each round', async (t) => {
  const { moved, load, pass } = setup(t);
  load(1, 0.95, { 'router/a': 200, 'router/b': 200, 'router/c': 200, 'router/d': 200, 'router/e': 200 });
  load(2, 0.1);
  await pass(19);
  assert.equal(moved.length, 1);
  await pass(30);
  assert.equal(moved.length, 4);
  await pass(15);
  assert.equal(moved.length, 4);
  await pass(20);
  assert.ok(moved.length > 4);
});

test('a move that is called off is told and spends one of the minute', async (t) => {
  const { lines, load, pass } = setup(t, true);
  load(1, 0.95, { 'router/warm': 300 });
  load(2, 0.2);
  await pass(59);
  assert.deepEqual(new Set(lines), new Set(['a hot actor could not be moved']));
  assert.equal(lines.length, 4);
});
