// What holds between threads, with real systems over memory links: answers and errors cross, a lost thread rejects its
// asks, a moved actor keeps order, and the codes of refusals survive.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type ActorDefinition,
  ActorSystem,
  chooseMoves,
  defineActor,
  type PlacementTable,
  RuntimeError,
  realTurn,
  seamsOf,
  seededRandom,
  VirtualClock,
  VirtualExecutor,
} from '../../runtime/index.ts';
import { Mover, systemParticipant } from '../../runtime/move.ts';
import { createMemoryLinks, type Link } from '../../transport/index.ts';

const silent = () => undefined;
const log = { debug: silent, info: silent, warn: silent, error: silent };

/** Threads 0..n-1 of one role; everything runs in `settle`. */
function setup(t: TestContext, count: number, definitions: readonly ActorDefinition<never>[], pins = {}) {
  const clock = new VirtualClock();
  const executor = new VirtualExecutor();
  const ids = Array.from({ length: count }, (_, index) => index);
  const table: PlacementTable = { epoch: 1, threadsByRole: { worker: ids }, pins };
  const links = new Map<string, Link>();
  const systems = ids.map((threadId) => {
    const seams = seamsOf(clock, executor, seededRandom(threadId));
    const roles = { echo: 'worker', sender: 'worker', ghost: 'nowhere' };
    const options = { threadId, role: 'worker', definitions, roles, seams, log };
    const system = new ActorSystem({ ...options, refuseAskCycles: true });
    system.setPlacement(table);
    return system;
  });
  const at = (threadId: number): ActorSystem => {
    const system = systems[threadId];
    assert.ok(system);
    return system;
  };
  for (const one of ids) {
    for (const other of ids.slice(one + 1)) {
      const pair = createMemoryLinks({
        threads: [one, other],
        schedule: (deliver) => executor.nextTurn(deliver),
        link: { bodyBytesMax: 64 * 1024 },
      });
      links.set(`${one}>${other}`, pair[0]);
      links.set(`${other}>${one}`, pair[1]);
      at(one).attachLink(pair[0]);
      at(other).attachLink(pair[1]);
    }
  }
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 3; ) {
      quiet = executor.runTurn() ? 0 : quiet + 1;
      await realTurn();
    }
  };
  t.after(() => Promise.all([...systems.map((system) => system.drain(0)), settle().then(() => clock.fireNext())]));
  return { clock, at, settle, table, links, systems };
}

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => value,
    (error: unknown) => (error instanceof RuntimeError ? error.code : error),
  );
}

type Order =
  | { kind: 'double'; value: number }
  | { kind: 'fail' }
  | { kind: 'refuse' }
  | { kind: 'wait' }
  | { kind: 'opaque' };

const echo = defineActor<Order>({
  kind: 'echo',
  role: 'worker',
  create: (context) => ({
    onMessage: (message) => {
      if (message.kind === 'fail') throw new Error('asked to');
      if (message.kind === 'double') context.reply(message.value * 2);
      if (message.kind === 'wait') context.replier();
      if (message.kind === 'opaque') context.reply(new Map());
      if (message.kind === 'refuse') {
        context.replier().fail(Object.assign(new Error('away'), { code: 'STORAGE_UNAVAILABLE', retryable: true }));
      }
    },
  }),
});

test('answers and errors cross threads with their codes', async (t) => {
  const { at, settle } = setup(t, 2, [echo], { 'echo/a': 1 });
  const ref = at(0).ref<Order>('echo', 'a');
  const double = codeOf(ref.ask({ kind: 'double', value: 4 }, { timeoutMs: 100 }));
  const refused = ref.ask({ kind: 'refuse' }, { timeoutMs: 100 });
  const shape = refused.catch((error: RuntimeError) => ({ code: error.code, retryable: error.retryable }));
  const failed = codeOf(ref.ask({ kind: 'fail' }, { timeoutMs: 100 }));
  await settle();
  assert.equal(await double, 8);
  assert.deepEqual(await shape, { code: 'STORAGE_UNAVAILABLE', retryable: true });
  assert.equal(await failed, 'HANDLER_FAILED');
  assert.equal(at(0).stats().actors, 0);
  assert.equal(at(1).stats().actors, 1);
});

test('the loss of a thread rejects the asks that went to it, and later ones at once', async (t) => {
  const { at, settle } = setup(t, 2, [echo], { 'echo/a': 1 });
  const ref = at(0).ref<Order>('echo', 'a');
  const pending = codeOf(ref.ask({ kind: 'wait' }, { timeoutMs: 60_000 }));
  await settle();
  at(0).detachLink(1, 'it was killed');
  assert.equal(await pending, 'THREAD_LOST');
  assert.equal(await codeOf(ref.ask({ kind: 'wait' }, { timeoutMs: 60_000 })), 'THREAD_LOST');
  assert.equal(ref.tell({ kind: 'wait' }), false);
  assert.equal(at(0).stats().deadLetters['thread-lost'], 2);
});

test('a closed link counts as a lost thread', async (t) => {
  const { at, settle, links } = setup(t, 2, [echo], { 'echo/a': 1 });
  const pending = codeOf(at(0).ref<Order>('echo', 'a').ask({ kind: 'wait' }, { timeoutMs: 60_000 }));
  await settle();
  links.get('1>0')?.close();
  await settle();
  assert.equal(await pending, 'THREAD_LOST');
});

test('an oversized body and a role without threads are refused with their codes', async (t) => {
  const { at } = setup(t, 2, [echo], { 'echo/a': 1 });
  const large = { kind: 'double', value: new Uint8Array(65 * 1024) };
  assert.throws(() => at(0).ref('echo', 'a').tell(large), { code: 'BODY_TOO_LARGE' });
  assert.equal(await codeOf(at(0).ref('echo', 'a').ask(large, { timeoutMs: 10 })), 'BODY_TOO_LARGE');
  assert.equal(await codeOf(at(0).ref('ghost', 'a').ask(1, { timeoutMs: 10 })), 'THREAD_LOST');
});

test('an ask that cannot go on over a second link fails at once, and nothing of it stays behind', async (t) => {
  const { at, settle, links, table } = setup(t, 3, [echo], { 'echo/a': 1 });
  for (const knowing of [1, 2]) at(knowing).setPlacement({ ...table, epoch: 2, pins: { 'echo/a': 2 } });
  const taken = codeOf(at(0).ref<Order>('echo', 'a').ask({ kind: 'double', value: 4 }, { timeoutMs: 60_000 }));
  await settle();
  assert.equal(await taken, 8, 'it does go on while the link takes it');
  links.get('1>2')?.close();
  const refused = codeOf(at(0).ref<Order>('echo', 'a').ask({ kind: 'double', value: 4 }, { timeoutMs: 60_000 }));
  await settle();
  assert.equal(await refused, 'LINK_OVERLOADED');
  assert.deepEqual([at(0).stats().asksPending, at(1).stats().asksPending], [0, 0]);
});

test('what is no plain data does not cross: not as a message, and not as an answer', async (t) => {
  const { at, settle } = setup(t, 2, [echo], { 'echo/a': 1 });
  const ref = at(0).ref<unknown>('echo', 'a');
  for (const message of [new Map(), { set: new Set() }, () => 1, Promise.resolve()]) {
    assert.throws(() => ref.tell(message), { code: 'NOT_SERIALIZABLE' });
    assert.equal(await codeOf(ref.ask(message, { timeoutMs: 10 })), 'NOT_SERIALIZABLE');
  }
  const answer = codeOf(ref.ask({ kind: 'opaque' }, { timeoutMs: 100 }));
  await settle();
  assert.equal(await answer, 'NOT_SERIALIZABLE');
  assert.equal(at(0).stats().asksPending, 0);
});

test('a full link refuses visibly, and everything it took arrives', async (t) => {
  let heard = 0;
  const ear = defineActor<number>({
    kind: 'echo',
    role: 'worker',
    mailbox: { capacity: 10_000 },
    create: () => ({
      onMessage: () => {
        heard += 1;
      },
    }),
  });
  const { at, settle } = setup(t, 2, [ear], { 'echo/a': 1 });
  const ref = at(0).ref<number>('echo', 'a');
  let taken = 0;
  for (let index = 0; index < 5000; index += 1) if (ref.tell(index)) taken += 1;
  const refused = ref.ask(5000, { timeoutMs: 60_000 });
  assert.ok(taken < 5000);
  assert.equal(await codeOf(refused), 'LINK_OVERLOADED');
  assert.equal(at(0).stats().deadLetters['link-overloaded'], 5001 - taken);
  assert.equal(at(0).stats().asksPending, 0);
  await settle();
  assert.equal(heard, taken);
});

/** Asks the first of the keys to do the same with the rest. */
const ring = defineActor<{ keys: string[] }>({
  kind: 'echo',
  role: 'worker',
  create: (context) => ({
    onMessage: async ({ keys: [next, ...keys] }) => {
      context.reply(
        next === undefined ? 'the end' : await codeOf(context.ref('echo', next).ask({ keys }, { timeoutMs: 5000 })),
      );
    },
  }),
});

test('a circle of asks through three threads is refused by the ask that would close it', async (t) => {
  const { at, settle } = setup(t, 3, [ring], { 'echo/a': 0, 'echo/b': 1, 'echo/c': 2 });
  for (const keys of [
    ['b', 'c', 'a'],
    ['b', 'c', 'b'],
    ['b', 'c'],
    ['b', 'c', 'a'],
  ]) {
    const answer = codeOf(at(0).ref('echo', 'a').ask({ keys }, { timeoutMs: 5000 }));
    await settle();
    assert.equal(await answer, keys.length === 2 ? 'the end' : 'ASK_CYCLE');
  }
  assert.deepEqual(
    [0, 1, 2].map((threadId) => at(threadId).stats().askTimeouts),
    [0, 0, 0],
  );
});

test('a circle that is closed from both ends at once is refused where they meet', async (t) => {
  const { at, settle } = setup(t, 2, [ring], { 'echo/a': 0, 'echo/b': 1 });
  const left = codeOf(
    at(0)
      .ref('echo', 'a')
      .ask({ keys: ['b'] }, { timeoutMs: 5000 }),
  );
  const right = codeOf(
    at(1)
      .ref('echo', 'b')
      .ask({ keys: ['a'] }, { timeoutMs: 5000 }),
  );
  await settle();
  assert.deepEqual([await left, await right], ['ASK_CYCLE', 'ASK_CYCLE']);
});

/** The product's own mover over these systems; `table` is the placement in force. */
function moverOf(systems: readonly ActorSystem[], first: PlacementTable) {
  const state = { table: first };
  const mover = new Mover(
    {
      roles: { echo: 'worker' },
      participants: () => systems.map(systemParticipant),
      refusal: () => undefined,
      meshVersion: () => 1,
      table: () => state.table,
      adopt: (table) => {
        state.table = table;
      },
    },
    2000,
  );
  return { state, move: (key: string, to: number) => mover.move({ kind: 'echo', key }, to) };
}

test('a move under traffic loses nothing and keeps the order of each sender', async (t) => {
  const heard = new Map<string, number[]>();
  const stops: string[] = [];
  const ear = defineActor<{ from: string; value: number }>({
    kind: 'echo',
    role: 'worker',
    create: () => ({
      onMessage: async ({ from, value }) => {
        await Promise.resolve();
        heard.set(from, [...(heard.get(from) ?? []), value]);
      },
      onStop: (reason) => {
        stops.push(reason);
      },
    }),
  });
  const { at, settle, systems, table } = setup(t, 3, [ear], { 'echo/a': 1 });
  const tellAll = (value: number): void => {
    for (const system of systems) {
      assert.equal(system.ref('echo', 'a').tell({ from: `t${system.threadId}`, value }), true);
    }
  };
  for (let value = 0; value < 20; value += 1) tellAll(value);
  const { state, move } = moverOf(systems, table);
  const moved = move('a', 2);
  for (let value = 20; value < 40; value += 1) tellAll(value);
  await settle();
  await moved;
  for (let value = 40; value < 60; value += 1) tellAll(value);
  await settle();
  assert.deepEqual(state.table.pins, { 'echo/a': 2 });
  assert.deepEqual([at(1).stats().actors, at(2).stats().actors], [0, 1]);
  assert.deepEqual(stops, ['migrating']);
  const expected = Array.from({ length: 60 }, (_, value) => value);
  for (const threadId of [0, 1, 2]) assert.deepEqual(heard.get(`t${threadId}`), expected);
});

test('a move whose owner cannot stop in time is called off, and the actor stays', async (t) => {
  const { at, settle, systems, table, clock } = setup(t, 2, [stuckUntilAborted()], { 'echo/a': 1 });
  at(0).ref('echo', 'a').tell(1);
  await settle();
  const { state, move } = moverOf(systems, table);
  const code = codeOf(move('a', 0));
  await settle();
  const untilMs = clock.monotonicMs() + 2500;
  while (clock.fireNext(untilMs)) await settle();
  await settle();
  assert.equal(await code, 'MOVE_ABORTED');
  assert.deepEqual(state.table, { ...table, epoch: 2 });
  assert.equal(at(1).stats().actors, 1);
  assert.equal(at(0).ref('echo', 'a').tell(2), true);
  await settle();
  assert.equal(at(1).stats().mailboxDepth, 1);
});

function stuckUntilAborted(): ActorDefinition<number> {
  return defineActor<number>({
    kind: 'echo',
    role: 'worker',
    create: (context) => ({
      onMessage: () =>
        new Promise<void>((resolve) => {
          context.signal.addEventListener('abort', () => resolve());
        }),
    }),
  });
}

test('only a hot thread gives, only a cool one takes, and only actors worth the move', () => {
  const hot = [
    { address: 'router/hog', busyMs: 900 },
    { address: 'router/warm', busyMs: 300 },
    { address: 'router/cold', busyMs: 20 },
  ];
  const report = (threadId: number, utilization: number, role = 'worker') => ({
    threadId,
    role,
    utilizationMin: utilization,
    utilizationMax: utilization,
    actors: 30,
    hot: utilization > 0.8 ? hot : [],
  });
  assert.deepEqual(chooseMoves([report(1, 0.95), report(2, 0.2)]), [{ address: 'router/warm', from: 1, to: 2 }]);
  assert.deepEqual(chooseMoves([report(1, 0.95), report(2, 0.6)]), []);
  assert.deepEqual(chooseMoves([report(1, 0.95), report(2, 0.2, 'storage')]), []);
  assert.deepEqual(chooseMoves([report(1, 0.8), report(2, 0.2)]), []);
});
