// Whatever an actor throws, returns or rejects with, however hostile, is its own failure: it is supervised, its ask is
// answered with a code, and its neighbours and the thread go on. And what supervision makes of it over time.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { type ActorContext, defineActor, RuntimeError } from '../../runtime/index.ts';
import { testRuntime } from '../support/test-runtime.ts';

const hostileProxy = new Proxy(
  {},
  {
    get() {
      throw new Error('a trap');
    },
    getPrototypeOf() {
      throw new Error('a trap');
    },
  },
);

/** An Error none of whose fields can be read. */
function hostileError(): Error {
  const error = new Error('fine');
  // Made while it can be: the stack is put together from the other fields when it is first read.
  void error.stack;
  for (const field of ['message', 'name', 'stack', 'code', 'environment']) {
    Object.defineProperty(error, field, {
      get() {
        throw new Error('a getter');
      },
    });
  }
  return error;
}

function endless(): Error {
  const error = new Error('circle');
  error.cause = error;
  return error;
}

const poisons: Record<string, unknown> = {
  'an object without a prototype': Object.create(null),
  'a hostile proxy': hostileProxy,
  'an error that cannot be read': hostileError(),
  'an error that is its own cause': endless(),
  undefined: undefined,
  'a symbol': Symbol('poison'),
};

function throwPoison(name: string): never {
  throw poisons[name];
}

const hostileThenables: Record<string, () => unknown> = {
  'a thenable whose then cannot be read': () => ({
    // biome-ignore lint/suspicious/noThenProperty: this is what the test is about
    get then() {
      throw new Error('a getter');
    },
  }),
  'a thenable whose then throws': () => ({
    // biome-ignore lint/suspicious/noThenProperty: this is what the test is about
    then() {
      throw Object.create(null);
    },
  }),
  'a promise whose own then throws': () =>
    Object.assign(Promise.reject(new Error('expected')), {
      // biome-ignore lint/suspicious/noThenProperty: this is what the test is about
      then() {
        throw new Error('an own then');
      },
    }),
  'a proxy of nothing': () => hostileProxy,
};

interface Order {
  how: 'throw' | 'reject' | 'pipe' | 'return' | 'answer' | 'echo';
  what?: string;
}

const poisoned = defineActor<Order>({
  kind: 'poisoned',
  role: 'any',
  supervision: { minBackoffMs: 1, jitter: 0, maxRestarts: 1000 },
  create: (context: ActorContext<Order | string>) => ({
    onMessage: (message) => {
      if (typeof message === 'string') return;
      const { how, what = '' } = message;
      if (how === 'throw') throwPoison(what);
      if (how === 'reject') return Promise.reject(poisons[what]);
      if (how === 'return') return hostileThenables[what]?.() as Promise<void>;
      if (how === 'answer') context.replier().fail(poisons[what] as Error);
      if (how === 'echo') context.reply('alive');
      if (how !== 'pipe') return;
      const replier = context.replier();
      context.pipeToSelf(Promise.reject(poisons[what]), (outcome) => {
        replier.fail(outcome.ok ? new Error('expected a failure') : outcome.error);
        return 'piped';
      });
    },
  }),
});

/** Sends one order, and then sees that the actor lives on. */
async function codeOf(t: Parameters<typeof testRuntime>[1], order: Order): Promise<unknown> {
  const runtime = testRuntime({ definitions: [poisoned] }, t);
  const actor = runtime.ref<Order>('poisoned', 'a');
  const failed = actor.ask(order, { timeoutMs: 1000 }).catch((error: unknown) => error);
  await runtime.settle();
  const error = await failed;
  assert.ok(error instanceof RuntimeError, `expected a RuntimeError, got ${typeof error}`);
  const alive = actor.ask({ how: 'echo' }, { timeoutMs: 1000 });
  await runtime.advance(10);
  assert.equal(await alive, 'alive');
  return error.code;
}

for (const what of Object.keys(poisons)) {
  for (const how of ['throw', 'reject', 'pipe', 'answer'] as const) {
    test(`${what} is an ordinary failure of the actor: ${how}`, async (t) => {
      assert.equal(await codeOf(t, { how, what }), 'HANDLER_FAILED');
    });
  }
}

for (const what of Object.keys(hostileThenables)) {
  test(`${what}, returned by a handler, is its failure`, async (t) => {
    assert.equal(await codeOf(t, { how: 'return', what }), 'HANDLER_FAILED');
  });
}

test('a thenable that calls back twice and at once ends its message once', async (t) => {
  const handled: number[] = [];
  const twice = defineActor<number>({
    kind: 'twice',
    role: 'any',
    create: () => ({
      onMessage: (value): Promise<void> => {
        handled.push(value);
        const thenable = {
          // biome-ignore lint/suspicious/noThenProperty: this is what the test is about
          then: (resolve: () => void, reject: (error: Error) => void) => {
            resolve();
            resolve();
            reject(new Error('too late'));
          },
        };
        return thenable as Promise<void>;
      },
    }),
  });
  const runtime = testRuntime({ definitions: [twice] }, t);
  for (const value of [1, 2, 3]) runtime.ref<number>('twice', 'a').tell(value);
  await runtime.settle();
  assert.deepEqual(handled, [1, 2, 3]);
  assert.equal(runtime.system.stats().life.failures, 0);
});

for (const what of Object.keys(poisons)) {
  test(`${what}, thrown by create, onStart or onStop, is a failure of the actor only`, async (t) => {
    const places: string[] = [];
    const define = (place: 'create' | 'onStart' | 'onStop') =>
      defineActor<number>({
        kind: place,
        role: 'any',
        supervision: { minBackoffMs: 60_000, jitter: 0 },
        create: (context) => {
          places.push(place);
          if (place === 'create') throwPoison(what);
          return {
            onStart: () => (place === 'onStart' ? throwPoison(what) : undefined),
            onMessage: () => context.passivate(),
            onStop: () => (place === 'onStop' ? Promise.reject(poisons[what]) : undefined),
          };
        },
      });
    const runtime = testRuntime({ definitions: [define('create'), define('onStart'), define('onStop')] }, t);
    for (const place of ['create', 'onStart', 'onStop']) runtime.ref<number>(place, 'a').tell(1);
    await runtime.settle();
    assert.deepEqual(places, ['create', 'onStart', 'onStop']);
    assert.deepEqual([...runtime.system.stats().backingOff].sort(), ['create/a', 'onStart/a']);
    assert.equal(runtime.system.stats().life.passivated, 1);
    assert.ok(runtime.log.some(({ text }) => text.startsWith('onStop failed')));
  });
}

test('a message that cannot be weighed is taken, and fails in the hands of its receiver', async (t) => {
  const reader = defineActor<{ text: string }>({
    kind: 'reader',
    role: 'any',
    create: (context) => ({ onMessage: ({ text }) => context.reply(text) }),
  });
  const runtime = testRuntime({ definitions: [reader], serializeLocalMessages: false }, t);
  const actor = runtime.ref<{ text: string }>('reader', 'a');
  for (let index = 0; index < 20; index += 1) assert.equal(actor.tell({ text: 'fine' }), true);
  const failed = actor.ask(hostileProxy as { text: string }, { timeoutMs: 1000 }).catch((error: unknown) => error);
  await runtime.settle();
  const error = await failed;
  assert.ok(error instanceof RuntimeError && error.code === 'HANDLER_FAILED');
});

test('an outcome of what is no promise is refused by name', async (t) => {
  let error: unknown;
  const piping = defineActor<number>({
    kind: 'piping',
    role: 'any',
    create: (context) => ({
      onMessage: (value) => {
        try {
          context.pipeToSelf(5 as never, () => 0);
        } catch (thrown) {
          error = thrown;
        }
        context.reply(value);
      },
    }),
  });
  const runtime = testRuntime({ definitions: [piping] }, t);
  const answer = runtime.ref<number>('piping', 'a').ask(7, { timeoutMs: 100 });
  await runtime.settle();
  assert.equal(await answer, 7);
  assert.ok(error instanceof RuntimeError);
  assert.deepEqual([error.code, error.message], ['INVALID_ARGUMENT', 'expected promise to be a promise, got 5']);
});

test('health counts from the restart, not from the failure before it', async (t) => {
  const starts: number[] = [];
  const frail = defineActor<string>({
    kind: 'frail',
    role: 'any',
    supervision: { minBackoffMs: 30_000, maxBackoffMs: 120_000, resetAfterMs: 60_000, jitter: 0 },
    idleMs: 0,
    create: (context) => {
      starts.push(context.clock.monotonicMs());
      return {
        onMessage: () => {
          throw new Error('asked to');
        },
      };
    },
  });
  const runtime = testRuntime({ definitions: [frail] }, t);
  const actor = runtime.ref<string>('frail', 'a');
  actor.tell('at 0');
  await runtime.advance(70_000);
  actor.tell('40 seconds after the restart: the same trouble, twice the delay');
  await runtime.advance(190_000 - 70_000);
  actor.tell('60 seconds after the restart: a new one');
  await runtime.advance(40_000);
  assert.deepEqual(starts, [0, 30_000, 130_000, 220_000]);
});

test('messages by reference are bounded in bytes too, once there is a queue of them', async (t) => {
  const slow = defineActor<string>({
    kind: 'slow',
    role: 'any',
    mailbox: { capacity: 1000, bytesMax: 1000 },
    create: () => ({ onMessage: () => undefined }),
  });
  const runtime = testRuntime({ definitions: [slow], serializeLocalMessages: false }, t);
  const actor = runtime.ref<string>('slow', 'a');
  for (let index = 0; index < 16; index += 1) assert.equal(actor.tell(''), true);
  const taken = [1, 2, 3].map(() => actor.tell('x'.repeat(400)));
  assert.deepEqual(taken, [true, true, false]);
  await runtime.settle();
  assert.equal(runtime.system.stats().mailboxBytes, 0);
});
