// What cannot be meant is refused where it enters, with a code and a text that names it, and harms nobody: timers go on,
// links go on, and so does the actor that was asked for it.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { type ActorContext, defineActor, RuntimeError } from '../../runtime/index.ts';
import { testRuntime } from '../support/test-runtime.ts';

type Order = { delayMs: unknown } | 'due';

/** Schedules what it is told, and answers with the refusal. */
const timed = defineActor<Order>({
  kind: 'timed',
  role: 'any',
  create: (context: ActorContext<Order>) => ({
    onMessage: (message) => {
      if (message === 'due') return;
      try {
        context.schedule('x', message.delayMs as number, 'due');
        context.reply('scheduled');
      } catch (error) {
        assert.ok(error instanceof RuntimeError);
        context.reply({ code: error.code, text: error.message });
      }
    },
  }),
});

const noDelays: [unknown, string][] = [
  [Number.NaN, 'NaN'],
  [Number.POSITIVE_INFINITY, 'Infinity'],
  [-1, '-1'],
  ['5', '"5"'],
  [undefined, 'undefined'],
  [null, 'null'],
];
for (const [delayMs, got] of noDelays) {
  test(`a schedule after ${got} is refused by name, and timers go on`, async (t) => {
    const runtime = testRuntime({ definitions: [timed], serializeLocalMessages: false }, t);
    const actor = runtime.ref<Order>('timed', 'a');
    const refused = actor.ask({ delayMs }, { timeoutMs: 1000 });
    await runtime.settle();
    const text = `expected the delay of schedule "x" to be a finite number of milliseconds, 0 or more, got ${got}`;
    assert.deepEqual(await refused, { code: 'INVALID_ARGUMENT', text });
    const silent = runtime.probe('silent', 'a');
    const expired = silent.ref.ask(1, { timeoutMs: 50 }).catch((error: RuntimeError) => error.code);
    await runtime.advance(51);
    assert.equal(await expired, 'ASK_TIMEOUT');
  });

  test(`a drain within ${got} is refused by name, and the system stays open`, async (t) => {
    const runtime = testRuntime({ definitions: [timed] }, t);
    await assert.rejects(runtime.system.drain(delayMs as number), {
      code: 'INVALID_ARGUMENT',
      message: `expected the deadlineMs of a drain to be a finite number of milliseconds, 0 or more, got ${got}`,
    });
    assert.equal(runtime.ref<Order>('timed', 'a').tell('due'), true);
  });
}

test('an ask whose timeout is a text is refused, not turned into a number', async (t) => {
  const runtime = testRuntime({ definitions: [timed] }, t);
  const options = { timeoutMs: '5' as never };
  await assert.rejects(runtime.ref<Order>('timed', 'a').ask('due', options), {
    code: 'ASK_WITHOUT_DEADLINE',
    message: /got "5"$/,
  });
});

const noAddresses: [string, unknown, unknown, RegExp][] = [
  ['a number as key', 'timed', 5, /key of an actor of kind timed to be a string, got 5$/],
  ['an array as key', 'timed', ['a'], /got an array$/],
  ['no key', 'timed', undefined, /got undefined$/],
  ['a lone surrogate in the key', 'timed', 'a\ud800b', /well-formed Unicode/],
  ['a key too long for a header', 'timed', 'k'.repeat(4097), /at most 4096 characters, got "4097"$/],
  ['no kind', undefined, 'a', /the kind of an actor to be a string, got undefined$/],
];
for (const [name, kind, key, message] of noAddresses) {
  test(`a reference with ${name} is refused by name`, (t) => {
    const runtime = testRuntime({ definitions: [timed] }, t);
    const code = 'INVALID_ARGUMENT';
    assert.throws(() => runtime.ref(kind as string, key as string), { code, message });
  });
}

test('a traceparent that is no text is refused by tell and ask', async (t) => {
  const runtime = testRuntime({ definitions: [timed] }, t);
  const actor = runtime.ref<Order>('timed', 'a');
  const traceparent = 7 as never;
  assert.throws(() => actor.tell('due', { traceparent }), { code: 'INVALID_ARGUMENT' });
  await assert.rejects(actor.ask('due', { timeoutMs: 5, traceparent }), { code: 'INVALID_ARGUMENT' });
});

for (const kind of ['__proto__', 'constructor', 'toString']) {
  test(`a kind called ${kind} is as unknown as any other`, async (t) => {
    const runtime = testRuntime({ definitions: [timed] }, t);
    const actor = runtime.ref<Order>(kind, 'a');
    assert.throws(() => actor.tell('due'), { code: 'UNKNOWN_KIND' });
    await assert.rejects(actor.ask('due', { timeoutMs: 5 }), { code: 'UNKNOWN_KIND' });
  });
}
