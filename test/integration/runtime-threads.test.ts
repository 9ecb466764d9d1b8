// The thread pool with real worker threads: messages across threads, loss and respawn of a thread, stalls, drain order.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { RuntimeError } from '../../runtime/index.ts';
import { keysOnTwoThreads, quickStall, quickSupervision, setup, timeoutMs } from './runtime-threads-fixture.ts';
import type { ProbeMessage, ProbeWhere } from './runtime-threads-worker.ts';

test('told from main, an actor of another thread sees all messages in order', async (t) => {
  const { probe } = await setup(t);
  const values = Array.from({ length: 1000 }, (_, index) => index);
  for (const value of values) assert.equal(probe('a').tell({ kind: 'add', value }), true);
  assert.deepEqual(await probe('a').ask({ kind: 'values' }, { timeoutMs }), values);
});

test('told from an actor of another worker, an actor sees all messages in order', async (t) => {
  const fixture = await setup(t);
  const [left, right] = await keysOnTwoThreads(fixture);
  const values = Array.from({ length: 500 }, (_, index) => index);
  const relayed = fixture.probe(left.key).ask({ kind: 'relay', key: right.key, values }, { timeoutMs });
  assert.equal(await relayed, values.length);
  // The relay's tells left on another link than this ask, so their arrival is asked for until it is complete.
  let seen: number[] = [];
  while (seen.length < values.length) seen = await fixture.probe(right.key).ask({ kind: 'values' }, { timeoutMs });
  assert.deepEqual(seen, values);
});

test('asks in a circle through several threads are refused at once, naming the circle', async (t) => {
  const fixture = await setup(t);
  const [left, right] = await keysOnTwoThreads(fixture);
  const askAround = (keys: string[]): Promise<string> =>
    fixture.probe(left.key).ask({ kind: 'askAround', keys }, { timeoutMs });
  assert.equal(await askAround([right.key]), 'the end');
  assert.match(await askAround([right.key, left.key]), /^ASK_CYCLE: .*probe\/.* > probe\/.* > probe\//);
  // Nothing is left of the circle: the way there is open again.
  assert.equal(await askAround([right.key]), 'the end');
});

test('asks to a thread that ends reject with THREAD_LOST and its actors start again with what was broadcast', async (t) => {
  const fixture = await setup(t);
  await fixture.runtime.broadcast('topic', { version: 7 });
  const [victim, other] = await keysOnTwoThreads(fixture);
  fixture.probe(victim.key).tell({ kind: 'add', value: 1 });
  const pending = fixture.probe(victim.key).ask({ kind: 'never' }, { timeoutMs });
  const rejected = assert.rejects(pending, { code: 'THREAD_LOST' });
  fixture.probe(victim.key).tell({ kind: 'exit', exitCode: 9 });
  await rejected;
  const loss = await fixture.nextLoss();
  const reason = `it ended with code 9, in a slice of probe/${victim.key}`;
  assert.deepEqual(loss, { role: 'actors', threadId: victim.threadId, reason });
  assert.deepEqual(await fixture.probe(victim.key).ask({ kind: 'values' }, { timeoutMs }), []);
  assert.deepEqual(await fixture.probe(victim.key).ask({ kind: 'where' }, { timeoutMs }), {
    threadId: victim.threadId,
    role: 'actors',
    topic: { version: 7 },
  });
  const relayed = fixture.probe(other.key).ask({ kind: 'relay', key: victim.key, values: [5] }, { timeoutMs });
  assert.equal(await relayed, 1);
  const { threads } = await fixture.runtime.stats();
  assert.deepEqual(
    threads.map(({ threadId, restarts, state }) => [threadId, restarts, state]),
    [0, 1, 2, 3].map((threadId) => [threadId, threadId === victim.threadId ? 1 : 0, 'live']),
  );
});

test('a drain amid the replacement of a thread is clean, and nobody joins it any more', async (t) => {
  for (const moment of ['lost', 'starting'] as const) {
    const fixture = await setup(t);
    const [left, right] = await keysOnTwoThreads(fixture);
    for (let made = 0; made < 3; made += 1) await fixture.nextLog('definitions made');
    await assert.rejects(fixture.probe(left.key).ask({ kind: 'exit', exitCode: 0 }, { timeoutMs }), {
      code: 'THREAD_LOST',
    });
    await fixture.nextLog(moment === 'lost' ? 'lost a thread, starting it again' : 'definitions made');
    assert.deepEqual(await fixture.runtime.drain({ deadlineMs: 10_000 }), { clean: true, unfinished: [] }, moment);
    assert.ok(fixture.stopNumber(right.threadId) > 0, 'the other thread was drained');
    await fixture.runtime.stop();
    const { threads } = await fixture.runtime.stats();
    assert.deepEqual(
      threads.slice(1).filter(({ state }) => state !== 'left' && state !== 'lost'),
      [],
    );
  }
});

test('an exception outside of any handler costs its thread only, and names the reason', async (t) => {
  const { probe, nextLoss } = await setup(t);
  probe('a').tell({ kind: 'throwOutside' });
  assert.equal((await nextLoss()).reason, 'it failed: outside of any handler');
  assert.deepEqual(await probe('a').ask({ kind: 'values' }, { timeoutMs }), []);
});

test('what cannot be printed, thrown outside of any handler, costs its thread only', async (t) => {
  const { probe, nextLoss } = await setup(t);
  probe('a').tell({ kind: 'throwOutside', what: 'poison' });
  assert.match((await nextLoss()).reason, /something was thrown that cannot be printed/);
  assert.deepEqual(await probe('a').ask({ kind: 'values' }, { timeoutMs }), []);
});

test('what a library of a worker posts to main is no log line, and is reported as such', async (t) => {
  const { probe, nextLog } = await setup(t);
  const values = [5, null, 'text', {}, { level: 'toString', fields: {}, text: 'x' }, { level: 'info', fields: 1 }];
  probe('a').tell({ kind: 'post', values });
  for (const _value of values) await nextLog('a thread posted something that is no log line');
  assert.deepEqual(await probe('a').ask({ kind: 'values' }, { timeoutMs }), []);
});

test('a thread beyond its heap limit is replaced and the process lives', async (t) => {
  const groups = [{ role: 'actors', count: 1, heapMbMax: 32 }];
  const { probe, nextLoss } = await setup(t, {}, groups);
  probe('a').tell({ kind: 'hoard' });
  assert.match((await nextLoss()).reason, /memory/);
  assert.deepEqual(await probe('a').ask({ kind: 'values' }, { timeoutMs }), []);
});

test('a broadcast that cannot be cloned is refused, and is not what a later thread starts with', async (t) => {
  const { runtime, probe, nextLoss } = await setup(t, {}, [{ role: 'actors', count: 1 }]);
  await runtime.broadcast('topic', { version: 1 });
  await assert.rejects(runtime.broadcast('topic', { version: () => 2 }), { code: 'NOT_SERIALIZABLE' });
  probe('a').tell({ kind: 'exit', exitCode: 1 });
  await nextLoss();
  assert.deepEqual((await probe('a').ask<ProbeWhere>({ kind: 'where' }, { timeoutMs })).topic, { version: 1 });
});

test('a thread that cannot make its definitions fails the start with its own error', async (t) => {
  const groups = [
    { role: 'actors', count: 1 },
    { role: 'broken', count: 1 },
  ];
  await assert.rejects(setup(t, {}, groups), { code: 'BROKEN' });
});

test('threads lost too often are fatal', async (t) => {
  const { probe, nextLoss, fatal } = await setup(t, { supervision: { ...quickSupervision, maxRestarts: 1 } });
  probe('a').tell({ kind: 'exit', exitCode: 1 });
  await nextLoss();
  probe('a').tell({ kind: 'exit', exitCode: 1 });
  assert.equal(((await fatal) as Error & { code: string }).code, 'THREAD_LOST');
});

test('a thread that is stuck is replaced, and the actor that held it is named', async (t) => {
  const { probe, nextLoss, nextLog } = await setup(t, quickStall);
  probe('a').tell({ kind: 'block' });
  assert.equal((await nextLog('a thread takes no turns and does not answer')).actor, 'probe/a');
  const loss = await nextLoss();
  assert.equal(loss.role, 'actors');
  assert.match(loss.reason, /in a slice of probe\/a$/);
  assert.deepEqual(await probe('a').ask({ kind: 'values' }, { timeoutMs }), []);
});

test('a stuck thread that hosts native storage only alarms, and is terminated after all deadlines', async (t) => {
  const groups = [{ role: 'storage', count: 1, drainOnly: true }];
  const { runtime, nextLog } = await setup(t, { ...quickStall, drainGraceMs: 20, leaveMs: 20 }, groups);
  runtime.ref<ProbeMessage>('keeper', 'k').tell({ kind: 'block' });
  const fields = await nextLog('a thread takes no turns and does not answer');
  assert.equal(fields.role, 'storage');
  assert.deepEqual(await runtime.drain({ deadlineMs: 20 }), { clean: false, unfinished: ['thread 1 (storage)'] });
  await runtime.stop();
  assert.equal((await nextLog('terminated a thread that did not leave by itself')).threadId, 1);
});

test('a drain stops the actors group by group, in order, and is the same for everyone who asks', async (t) => {
  const fixture = await setup(t);
  const [left, right] = await keysOnTwoThreads(fixture);
  await fixture.runtime.ref<ProbeMessage>('keeper', 'k').ask({ kind: 'where' }, { timeoutMs });
  const first = fixture.runtime.drain({ deadlineMs: 10_000 });
  assert.equal(fixture.runtime.drain({ deadlineMs: 20_000 }), first);
  assert.deepEqual(await first, { clean: true, unfinished: [] });
  const storage = fixture.stopNumber(3);
  assert(fixture.stopNumber(left.threadId) > 0);
  assert(fixture.stopNumber(left.threadId) < storage);
  assert(fixture.stopNumber(right.threadId) < storage);
  await fixture.runtime.stop();
  await fixture.runtime.stop();
});

test('a second drain without patience cuts the first one short', async (t) => {
  const { runtime, probe, nextLog } = await setup(t, { stallChecksMax: 100_000, drainGraceMs: 20, leaveMs: 20 });
  const { threadId } = await probe('a').ask<ProbeWhere>({ kind: 'where' }, { timeoutMs });
  probe('a').tell({ kind: 'block' });
  await nextLog('blocking');
  const drained = runtime.drain({ deadlineMs: 3_600_000 });
  void runtime.drain({ deadlineMs: 0 });
  const { clean, unfinished } = await drained;
  assert.equal(clean, false);
  assert(unfinished.includes(`thread ${threadId} (actors)`));
});

test('statistics name every thread with its figures', async (t) => {
  const fixture = await setup(t);
  await fixture.runtime.broadcast('topic', 1);
  await keysOnTwoThreads(fixture);
  const { threads } = await fixture.runtime.stats();
  assert.deepEqual(
    threads.map(({ role, collected }) => [role, collected]),
    [
      ['main', undefined],
      ['actors', { broadcasts: 1 }],
      ['actors', { broadcasts: 1 }],
      ['storage', { broadcasts: 1 }],
    ],
  );
  for (const { threadId, links, eventLoopUtilization } of threads) {
    const peers = [0, 1, 2, 3].filter((peer) => peer !== threadId);
    assert.deepEqual(links.map(({ peer }) => peer).sort(), peers);
    assert(eventLoopUtilization >= 0 && eventLoopUtilization <= 1);
  }
});

test('log lines of a thread reach the log of main with the name of the thread', async (t) => {
  const { nextLog } = await setup(t, {}, [{ role: 'actors', count: 1 }]);
  assert.deepEqual(await nextLog('definitions made'), { thread: 'actors-1', threadId: 1 });
});

test('an error with an endless text, a key that is no text and a poison thrown in a worker cost nothing but themselves', async (t) => {
  const fixture = await setup(t);
  const { probe, runtime } = fixture;
  const failed = await probe('a')
    .ask({ kind: 'fail', with: 'text' }, { timeoutMs })
    .catch((error: Error) => error);
  assert.ok(failed instanceof RuntimeError && failed.code === 'HANDLER_FAILED');
  assert.ok(failed.message.length < 10_000);
  for (const how of ['text', 'nothing', 'rejection'] as const) {
    const refused = await probe('b')
      .ask({ kind: 'fail', with: how }, { timeoutMs })
      .catch((error: Error) => error);
    assert.ok(refused instanceof RuntimeError && refused.code === 'HANDLER_FAILED', how);
  }
  assert.throws(() => runtime.ref('probe', 5 as never), { code: 'INVALID_ARGUMENT' });
  assert.equal(
    (await runtime.stats()).threads.every(({ restarts }) => restarts === 0),
    true,
  );
});

test('a message of a sampled trace has a span in its thread, and so has what its handler sends', async (t) => {
  const fixture = await setup(t);
  const [here, there] = await keysOnTwoThreads(fixture);
  const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b';
  const forward = { kind: 'forward', key: there.key, value: 1 } as const;
  fixture.probe(here.key).tell(forward, { traceparent: `${trace}7-00` });
  fixture.probe(here.key).tell(forward, { traceparent: `${trace}7-01` });
  const spansOf = (key: string): Promise<string[]> => fixture.probe(key).ask({ kind: 'spans' }, { timeoutMs });
  assert.deepEqual(await spansOf(here.key), [`actor.receive probe below ${trace}7-01`, `end ${trace}9-01`]);
  let passedOn: string[] = [];
  while (passedOn.length < 2) passedOn = await spansOf(there.key);
  assert.deepEqual(passedOn, [`actor.receive probe below ${trace}9-01`, `end ${trace}9-01`]);
});
