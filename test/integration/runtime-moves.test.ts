// Moves, pins and drains between real worker threads: what is told, asked and answered while actors change their place.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { rebalancerDefaults } from '../../runtime/index.ts';
import { keysOnTwoThreads, setup, timeoutMs } from './runtime-threads-fixture.ts';
import type { ProbeWhere } from './runtime-threads-worker.ts';

test('a pinned actor runs on the thread it is pinned to', async (t) => {
  const { runtime, probe } = await setup(t);
  for (const threadId of [1, 2]) {
    const key = `pinned-to-${threadId}`;
    await runtime.pin({ kind: 'probe', key }, threadId);
    assert.equal((await probe(key).ask<ProbeWhere>({ kind: 'where' }, { timeoutMs })).threadId, threadId);
  }
});

test('messages told before, during and after a move are all handled, in order, by the one or the other', async (t) => {
  const fixture = await setup(t);
  const [here, there] = await keysOnTwoThreads(fixture);
  const moving = fixture.probe(here.key);
  const sink = { kind: 'forward', key: there.key } as const;
  for (let value = 0; value < 100; value += 1) moving.tell({ ...sink, value });
  const moved = fixture.runtime.pin({ kind: 'probe', key: here.key }, there.threadId);
  for (let value = 100; value < 200; value += 1) moving.tell({ ...sink, value });
  await moved;
  for (let value = 200; value < 300; value += 1) moving.tell({ ...sink, value });
  assert.equal((await moving.ask<ProbeWhere>({ kind: 'where' }, { timeoutMs })).threadId, there.threadId);
  assert.deepEqual(
    await fixture.probe(there.key).ask({ kind: 'values' }, { timeoutMs }),
    Array.from({ length: 300 }, (_, index) => index),
  );
});

test('of two hot actors in one thread one is moved to the idle thread, and nothing is lost', async (t) => {
  const rebalance = { ...rebalancerDefaults, lookMs: 100, looks: 3, hotAbove: 0.6, coolBelow: 0.4, shareMin: 0.05 };
  const fixture = await setup(t, { rebalance: { ...rebalance, shareMax: 0.95 } });
  const { probe, nextLog } = fixture;
  const here = (await keysOnTwoThreads(fixture))[0].threadId;
  const keys: string[] = [];
  for (let index = 0; keys.length < 2; index += 1) {
    const where = await probe(`hot${index}`).ask<ProbeWhere>({ kind: 'where' }, { timeoutMs });
    if (where.threadId === here) keys.push(`hot${index}`);
  }
  for (const key of keys) probe(key).tell({ kind: 'toil', ms: 3 });
  const moved = await nextLog('moved a hot actor to a cooler thread');
  assert.equal(moved.from, here);
  const places = await Promise.all(keys.map((key) => probe(key).ask<ProbeWhere>({ kind: 'where' }, { timeoutMs })));
  assert.equal(new Set(places.map(({ threadId }) => threadId)).size, 2);
});

test('a pin to a thread that does not host the kind is refused', async (t) => {
  const { runtime } = await setup(t);
  await assert.rejects(runtime.pin({ kind: 'probe', key: 'a' }, 3), { code: 'UNKNOWN_KIND' });
});

test('an unpinned actor goes back to where the hash places it, and the pins can be read', async (t) => {
  const fixture = await setup(t);
  const [here, there] = await keysOnTwoThreads(fixture);
  const { runtime, probe } = fixture;
  const address = { kind: 'probe', key: here.key };
  await runtime.pin(address, there.threadId);
  assert.deepEqual(runtime.pins(), { [`probe/${here.key}`]: there.threadId });
  await runtime.unpin(address);
  assert.deepEqual(runtime.pins(), {});
  assert.equal((await probe(here.key).ask<ProbeWhere>({ kind: 'where' }, { timeoutMs })).threadId, here.threadId);
});

test('what main has asked is answered during the drain, as long as the thread asked has not stopped', async (t) => {
  const { runtime, probe } = await setup(t);
  const asked = probe('a').ask({ kind: 'whyStopped' }, { timeoutMs });
  // Whatever comes back on the same way says that the question has arrived.
  await probe('a').ask({ kind: 'where' }, { timeoutMs });
  assert.deepEqual(await runtime.drain({ deadlineMs: timeoutMs }), { clean: true, unfinished: [] });
  assert.equal(await asked, 'drain');
});

test('pins during and after the end are refused by what ends, also those that wait for another', async (t) => {
  const { runtime } = await setup(t);
  const keys = ['a', 'b', 'c'];
  const pinned = keys.map((key) =>
    runtime.pin({ kind: 'probe', key }, 1).then(
      () => 'moved',
      (error) => error.code,
    ),
  );
  const drained = runtime.drain({ deadlineMs: timeoutMs });
  const outcomes = await Promise.all(pinned);
  for (const outcome of outcomes) assert.ok(outcome === 'moved' || outcome === 'DRAINING', String(outcome));
  assert.equal(outcomes[2], 'DRAINING');
  await drained;
  await runtime.stop();
  await assert.rejects(runtime.pin({ kind: 'probe', key: 'a' }, 1), { code: 'STOPPED' });
  await assert.rejects(runtime.pin({ kind: 'probe', key: 5 as never }, 1), { code: 'INVALID_ARGUMENT' });
  await assert.rejects(runtime.pin({ kind: 'probe', key: 'a' }, 'one' as never), { code: 'INVALID_ARGUMENT' });
  await assert.rejects(runtime.drain({ deadlineMs: Number.NaN }), { code: 'INVALID_ARGUMENT' });
});
