// Bad input to the runtime: every kind of it is refused at once, with a code of its own, and never a hang.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ActorContext, defineActor, RuntimeError } from '../../runtime/index.ts';
import { testRuntime } from '../support/test-runtime.ts';

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => (error instanceof RuntimeError ? error.code : error),
  );
}

const echo = defineActor<number>({
  kind: 'echo',
  role: 'any',
  mailbox: { capacity: 2 },
  create: (context) => ({ onMessage: (message) => context.reply(message) }),
});

test('a stopped system refuses messages and asks, and counts them', async () => {
  const runtime = testRuntime({ definitions: [echo] });
  const ref = runtime.ref<number>('echo', 'a');
  ref.tell(1);
  await runtime.settle();
  await runtime.stop();
  assert.equal(ref.tell(2), false);
  assert.equal(await codeOf(ref.ask(3, { timeoutMs: 60_000 })), 'STOPPED');
  assert.equal(await codeOf(runtime.ref<number>('echo', 'new').ask(4, { timeoutMs: 60_000 })), 'STOPPED');
  assert.equal(runtime.system.stats().deadLetters.stopped, 3);
  assert.equal(runtime.system.stats().asksPending, 0);
});

test('a draining system refuses what comes from outside', async (t) => {
  let end: () => void = () => undefined;
  const slow = defineActor<number>({
    kind: 'slow',
    role: 'any',
    create: () => ({
      onMessage: () => undefined,
      onStop: () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    }),
  });
  const runtime = testRuntime({ definitions: [echo, slow] }, t);
  runtime.ref<number>('slow', 'a').tell(1);
  await runtime.settle();
  const drained = runtime.system.drain(1000);
  await runtime.settle();
  assert.equal(await codeOf(runtime.ref<number>('echo', 'a').ask(1, { timeoutMs: 60_000 })), 'DRAINING');
  assert.equal(runtime.ref<number>('echo', 'a').tell(1), false);
  end();
  await runtime.settle();
  assert.deepEqual(await drained, { clean: true, unfinished: [] });
});

test('an ask to a full mailbox is refused at once', async (t) => {
  const runtime = testRuntime({ definitions: [echo] }, t);
  const ref = runtime.ref<number>('echo', 'a');
  assert.equal(ref.tell(1) && ref.tell(2), true);
  assert.equal(await codeOf(ref.ask(3, { timeoutMs: 60_000 })), 'MAILBOX_FULL');
});

test('what is refused by the thousand carries a code and a text, but no stack, and other errors keep theirs', async (t) => {
  const runtime = testRuntime({ definitions: [echo] }, t);
  const ref = runtime.ref<number>('echo', 'a');
  assert.equal(ref.tell(1) && ref.tell(2), true);
  const refused = await ref.ask(3, { timeoutMs: 60_000 }).catch((error: unknown) => error);
  assert.ok(refused instanceof RuntimeError);
  assert.deepEqual([refused.code, refused.retryable], ['MAILBOX_FULL', true]);
  assert.match(refused.message, /echo\/a/);
  assert.doesNotMatch(refused.stack ?? '', /\n\s+at /);
  assert.match(new RuntimeError('DRAINING', 'any').stack ?? '', /\n\s+at /);
});

test('an ask for which the thread has no bytes left is refused at once, and taken when there is room again', async (t) => {
  const runtime = testRuntime({ definitions: [echo], mailboxBytesMax: 1_000 }, t);
  const body = new Uint8Array(600);
  const first = runtime.ref<unknown>('echo', 'a').ask(body, { timeoutMs: 60_000 });
  assert.equal(await codeOf(runtime.ref<unknown>('echo', 'b').ask(body, { timeoutMs: 60_000 })), 'MAILBOX_FULL');
  assert.ok(runtime.system.stats().mailboxBytes <= 1_000);
  await runtime.settle();
  await first;
  const second = runtime.ref<unknown>('echo', 'b').ask(body, { timeoutMs: 60_000 });
  await runtime.settle();
  assert.deepEqual(await second, body);
  assert.equal(runtime.system.stats().mailboxBytes, 0);
});

test('thousands of poisoned actors are parked, refuse asks at once, and do not hold up a drain', async (t) => {
  const poisoned = defineActor<number>({
    kind: 'poisoned',
    role: 'any',
    supervision: { maxRestarts: 1, minBackoffMs: 1 },
    create: () => ({
      onMessage: () => {
        throw new Error('poison');
      },
    }),
  });
  const runtime = testRuntime({ definitions: [poisoned, echo] }, t);
  const actors = Array.from({ length: 3_000 }, (_none, index) => runtime.ref<number>('poisoned', `p${index}`));
  for (const actor of actors) for (let time = 0; time < 3; time += 1) actor.tell(time);
  await runtime.advance(1_000);
  assert.equal(runtime.system.stats().parked.length, 3_000);
  const codes = actors.map((actor) => codeOf(actor.ask(1, { timeoutMs: 60_000 })));
  assert.deepEqual([...new Set(await Promise.all(codes))], ['ACTOR_PARKED']);
  const answer = runtime.ref<number>('echo', 'a').ask(1, { timeoutMs: 60_000 });
  await runtime.settle();
  assert.equal(await answer, 1, 'their neighbour goes on');
  const drained = runtime.system.drain(60_000);
  await runtime.settle();
  assert.deepEqual(await drained, { clean: true, unfinished: [] });
  assert.equal(runtime.system.stats().mailboxBytes + runtime.system.stats().asksPending, 0);
});

for (const timeoutMs of [undefined, 0, -1, Number.NaN, Number.POSITIVE_INFINITY, 3_600_001]) {
  test(`an ask with the deadline ${timeoutMs} is refused`, async (t) => {
    const runtime = testRuntime({ definitions: [echo] }, t);
    const options = { timeoutMs } as { timeoutMs: number };
    assert.equal(await codeOf(runtime.ref<number>('echo', 'a').ask(1, options)), 'ASK_WITHOUT_DEADLINE');
  });
}

const opaque: [string, unknown][] = [
  ['a function', () => 1],
  ['a symbol', Symbol('s')],
  ['an instance of a class', new Map()],
];
for (const [name, message] of opaque) {
  test(`a message that is ${name} is refused`, async (t) => {
    const runtime = testRuntime({ definitions: [echo] }, t);
    const ref = runtime.ref<unknown>('echo', 'a');
    assert.throws(() => ref.tell({ message }), { code: 'NOT_SERIALIZABLE' });
    assert.equal(await codeOf(ref.ask({ message }, { timeoutMs: 60_000 })), 'NOT_SERIALIZABLE');
  });
}

/** Asks the next of `ring`, if there is one, and answers with what it was answered. */
function ringOf(keys: readonly string[], codes: unknown[]) {
  return defineActor<{ to: string[] }>({
    kind: 'ring',
    role: 'any',
    create: (context: ActorContext<{ to: string[] }>) => ({
      onMessage: async ({ to: [next, ...rest] }) => {
        assert.ok(keys.includes(context.key));
        if (next !== undefined) {
          codes.push(await codeOf(context.ref('ring', next).ask({ to: rest }, { timeoutMs: 1000 })));
        }
        context.reply('done');
      },
    }),
  });
}

test('asks in a circle are refused by their chain, before anybody waits', async (t) => {
  const codes: unknown[] = [];
  const runtime = testRuntime({ definitions: [ringOf(['a', 'b', 'c'], codes)] }, t);
  const answer = codeOf(runtime.ref('ring', 'a').ask({ to: ['b', 'c', 'a'] }, { timeoutMs: 5000 }));
  await runtime.settle();
  assert.deepEqual(await answer, { value: 'done' });
  assert.deepEqual(codes, ['ASK_CYCLE', { value: 'done' }, { value: 'done' }]);
  assert.equal(runtime.system.stats().askTimeouts, 0);
});

test('an actor that asks itself is refused', async (t) => {
  const codes: unknown[] = [];
  const runtime = testRuntime({ definitions: [ringOf(['a'], codes)] }, t);
  const answer = codeOf(runtime.ref('ring', 'a').ask({ to: ['a'] }, { timeoutMs: 5000 }));
  await runtime.settle();
  assert.deepEqual([await answer, ...codes], [{ value: 'done' }, 'ASK_CYCLE']);
});

test('asks that are over leave nothing behind: the same ways may be asked again, and backwards', async (t) => {
  const codes: unknown[] = [];
  const runtime = testRuntime({ definitions: [ringOf(['a', 'b'], codes)] }, t);
  for (const [first, second] of [
    ['a', 'b'],
    ['b', 'a'],
    ['a', 'b'],
  ] as const) {
    const answer = codeOf(runtime.ref('ring', first).ask({ to: [second] }, { timeoutMs: 5000 }));
    await runtime.settle();
    assert.deepEqual(await answer, { value: 'done' });
  }
  assert.deepEqual(codes, [{ value: 'done' }, { value: 'done' }, { value: 'done' }]);
});
