// The thread pool with real worker threads: messages across threads, loss and respawn of a thread, stalls, drain order.

import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import {
  type ActorLog,
  type ActorRef,
  type Runtime,
  type RuntimeOptions,
  rebalancerDefaults,
  startRuntime,
  type ThreadLoss,
  type ThreadTuning,
} from '../../runtime/index.ts';
import { workerEntry } from '../../transport/index.ts';
import type { ProbeMessage, ProbeWhere, ThreadTestData } from './runtime-threads-worker.ts';

const timeoutMs = 20_000;
const roles = { probe: 'actors', keeper: 'storage' };

interface Fixture {
  runtime: Runtime;
  probe(key: string): ActorRef<ProbeMessage>;
  /** Thread losses in order; each call waits for the next one. */
  nextLoss(): Promise<ThreadLoss>;
  nextLog(text: string): Promise<Record<string, unknown>>;
  fatal: Promise<Error>;
  /** Number taken by the last actor that stopped in a thread; 0 when none did. */
  stopNumber(threadId: number): number;
}

async function setup(t: TestContext, tuning: Partial<ThreadTuning> = {}, groups = defaultGroups): Promise<Fixture> {
  const losses = new Arrivals<ThreadLoss>();
  const lines = new Arrivals<{ text: string; fields: Record<string, unknown> }>();
  const note = (fields: Record<string, unknown>, text: string) => lines.add({ text, fields });
  const log: ActorLog = { debug: note, info: note, warn: note, error: note };
  const stops = new SharedArrayBuffer(64);
  const threadData: ThreadTestData = { stops };
  let onFatal: (reason: Error) => void = () => undefined;
  const fatal = new Promise<Error>((resolve) => {
    onFatal = resolve;
  });
  const runtime = await startRuntime({
    entry: workerEntry('./runtime-threads-worker', import.meta.url),
    groups,
    roles,
    threadData,
    log,
    onThreadLost: (loss) => losses.add(loss),
    onFatal: (reason) => onFatal(reason),
    refuseAskCycles: true,
    tuning: { supervision: { ...quickSupervision, maxRestarts: 5 }, ...tuning },
  });
  t.after(() => runtime.stop());
  return {
    runtime,
    probe: (key) => runtime.ref<ProbeMessage>('probe', key),
    nextLoss: () => losses.next(() => true),
    nextLog: async (text) => (await lines.next((line) => line.text === text)).fields,
    fatal,
    stopNumber: (threadId) => Atomics.load(new Int32Array(stops), threadId),
  };
}

const defaultGroups: RuntimeOptions['groups'] = [
  { role: 'actors', count: 2 },
  { role: 'storage', count: 1, drainOnly: true },
];

/** Half a second: short, but long enough that a busy machine is not taken for a stuck thread. */
const quickStall = { stallCheckMs: 50, stallChecksMax: 10 };

const quickSupervision = {
  strategy: 'restart',
  minBackoffMs: 1,
  maxBackoffMs: 5,
  jitter: 0,
  maxRestarts: 5,
  withinMs: 60_000,
  resetAfterMs: 60_000,
  parkMs: 1,
  parkMsMax: 1,
} as const;

/** Things that happen, each given to the first who waits for it, now or later. */
class Arrivals<Thing> {
  readonly #things: Thing[] = [];
  readonly #waiting: { wanted: (thing: Thing) => boolean; resolve: (thing: Thing) => void }[] = [];

  add(thing: Thing): void {
    const index = this.#waiting.findIndex(({ wanted }) => wanted(thing));
    const [waiting] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (waiting === undefined) this.#things.push(thing);
    else waiting.resolve(thing);
  }

  next(wanted: (thing: Thing) => boolean): Promise<Thing> {
    const index = this.#things.findIndex(wanted);
    const [thing] = index < 0 ? [] : this.#things.splice(index, 1);
    if (thing !== undefined) return Promise.resolve(thing);
    return new Promise((resolve) => this.#waiting.push({ wanted, resolve }));
  }
}

/** Keys that are placed on two different threads, each with the thread it is on. */
async function keysOnTwoThreads({
  probe,
}: Fixture): Promise<[ProbeWhere & { key: string }, ProbeWhere & { key: string }]> {
  const found = new Map<number, ProbeWhere & { key: string }>();
  for (let index = 0; found.size < 2; index += 1) {
    assert(index < 1000, 'expected keys to spread over two threads');
    const where = await probe(`key${index}`).ask<ProbeWhere>({ kind: 'where' }, { timeoutMs });
    if (!found.has(where.threadId)) found.set(where.threadId, { key: `key${index}`, ...where });
  }
  const [first, second] = [...found.values()];
  assert(first !== undefined && second !== undefined);
  return [first, second];
}

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
  assert.deepEqual(loss, { role: 'actors', threadId: victim.threadId, reason: 'it ended with code 9' });
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

test('a thread beyond its heap limit is replaced and the process lives', async (t) => {
  const groups = [{ role: 'actors', count: 1, heapMbMax: 32 }];
  const { probe, nextLoss } = await setup(t, {}, groups);
  probe('a').tell({ kind: 'hoard' });
  assert.match((await nextLoss()).reason, /memory/);
  assert.deepEqual(await probe('a').ask({ kind: 'values' }, { timeoutMs }), []);
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

test('a thread that is stuck is replaced', async (t) => {
  const { probe, nextLoss } = await setup(t, quickStall);
  probe('a').tell({ kind: 'block' });
  const loss = await nextLoss();
  assert.equal(loss.role, 'actors');
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
