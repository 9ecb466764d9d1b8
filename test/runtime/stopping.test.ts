// How an actor comes to its end, and back: passivation, drain and move meet messages that are not handled, timers, and
// each other, and nobody waits for ever.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { type ActorContext, defineActor, type RuntimeError } from '../../runtime/index.ts';
import { testRuntime } from '../support/test-runtime.ts';

type Order = 'hold' | 'end' | 'any' | { until: Promise<void> };

/** Holds its one place until told; then whatever waits is for the cell to sort out. */
function holding(seen: unknown[], stops: string[]) {
  let goOn: () => void = () => undefined;
  const definition = defineActor<Order>({
    kind: 'holding',
    role: 'any',
    create: (context: ActorContext<Order>) => ({
      onMessage: async (message) => {
        seen.push(message);
        if (message !== 'hold') return;
        context.schedule('late', 5, 'any');
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
        context.cancel('late');
      },
      onStop: (reason) => {
        stops.push(reason);
      },
    }),
  });
  return { definition, goOn: () => goOn() };
}

const lastMails: Record<string, { lastMs: number; send(ask: (timeoutMs: number) => void): void; seen: string[] }> = {
  'an ask that has expired': { lastMs: 50, send: (ask) => ask(10), seen: ['hold'] },
  'a schedule that was cancelled': { lastMs: 6, send: () => undefined, seen: ['hold'] },
};
for (const [name, { lastMs, send, seen: expected }] of Object.entries(lastMails)) {
  test(`an actor whose last mail is ${name} moves`, async (t) => {
    const seen: unknown[] = [];
    const stops: string[] = [];
    const { definition, goOn } = holding(seen, stops);
    const runtime = testRuntime({ definitions: [definition] }, t);
    const actor = runtime.ref<Order>('holding', 'a');
    actor.tell('hold');
    await runtime.settle();
    send((timeoutMs) => void actor.ask('any', { timeoutMs }).catch(() => undefined));
    await runtime.advance(lastMs);
    let isMoved: boolean | undefined;
    void runtime.system.handOver('holding/a', 2, { peers: [], deadlineMs: 1000 }).then((moved) => {
      isMoved = moved;
    });
    goOn();
    await runtime.settle();
    assert.deepEqual([isMoved, stops, seen], [true, ['migrating'], expected]);
  });
}

test('what an actor tells itself while it passivates wakes it again', async (t) => {
  const seen: string[] = [];
  let isFirst = true;
  const restless = defineActor<string>({
    kind: 'restless',
    role: 'any',
    create: (context) => ({
      onMessage: (message) => {
        seen.push(message);
        context.passivate();
      },
      onStop: () => {
        if (isFirst) context.ref<string>('restless', 'a').tell('again');
        isFirst = false;
      },
    }),
  });
  const runtime = testRuntime({ definitions: [restless] }, t);
  runtime.ref<string>('restless', 'a').tell('once');
  await runtime.settle();
  assert.deepEqual(seen, ['once', 'again']);
  assert.equal(runtime.system.stats().actors, 0);
});

test('a move under way when the thread stops is called off, and so is a later one', async (t) => {
  const { definition } = holding([], []);
  const runtime = testRuntime({ definitions: [definition] }, t);
  runtime.ref<Order>('holding', 'a').tell('hold');
  await runtime.settle();
  const options = { peers: [7], deadlineMs: 60_000 };
  const waiting = runtime.system.handOver('holding/a', 2, options);
  const drained = runtime.system.drain(100);
  await runtime.advance(100);
  assert.deepEqual(await drained, { clean: false, unfinished: ['holding/a'] });
  assert.equal(await waiting, false);
  assert.equal(await runtime.system.handOver('holding/b', 3, options), false);
});

/** As the comment of `onStop` has it. */
const stopMsMax = 10_000;

/** Stops for as long as its test wants, and tells what comes back to it meanwhile. */
function lingering(seen: string[]) {
  return defineActor<string>({
    kind: 'lingering',
    role: 'any',
    supervision: { minBackoffMs: 1, jitter: 0 },
    create: (context) => ({
      onMessage: (message) => {
        if (message === 'fail') throw new Error('asked to');
        seen.push(message);
        if (message === 'leave') context.passivate();
      },
      onStop: () => {
        context.schedule('late', 1, 'scheduled in onStop');
        context.pipeToSelf(Promise.resolve(), () => 'outcome of onStop');
        return new Promise<void>(() => undefined);
      },
    }),
  });
}

test('an onStop that never ends is left behind after its time, and the next message starts the actor again', async (t) => {
  const seen: string[] = [];
  const runtime = testRuntime({ definitions: [lingering(seen)] }, t);
  const actor = runtime.ref<string>('lingering', 'a');
  actor.tell('leave');
  await runtime.settle();
  actor.tell('back');
  await runtime.advance(stopMsMax - 1);
  assert.deepEqual(seen, ['leave']);
  await runtime.advance(2);
  assert.deepEqual(seen, ['leave', 'back']);
  assert.ok(runtime.log.some(({ text }) => text === 'onStop failed; going on without it'));
});

test('nothing comes back to an incarnation that has begun to stop: neither schedules nor outcomes', async (t) => {
  const seen: string[] = [];
  const runtime = testRuntime({ definitions: [lingering(seen)] }, t);
  const actor = runtime.ref<string>('lingering', 'a');
  actor.tell('fail');
  await runtime.advance(stopMsMax + 10);
  actor.tell('after');
  await runtime.settle();
  assert.deepEqual(seen, ['after']);
  assert.equal(runtime.system.stats().life.stale, 1);
  assert.equal(runtime.system.stats().mailboxDepth, 0);
});

test('a system that stays open gives answers until it is closed', async (t) => {
  const runtime = testRuntime({ definitions: [] }, t);
  const silent = runtime.probe('silent', 'a');
  const pending = silent.ref.ask(1, { timeoutMs: 60_000 }).catch((error: RuntimeError) => error.code);
  await runtime.settle();
  const drained = runtime.system.drain(1000, { staysOpen: true });
  await runtime.settle();
  assert.equal((await drained).clean, true);
  const refused = silent.ref.ask(2, { timeoutMs: 60_000 }).catch((error: RuntimeError) => error.code);
  assert.equal(await refused, 'DRAINING');
  runtime.system.close();
  assert.equal(await silent.ref.ask(3, { timeoutMs: 5 }).catch((error: RuntimeError) => error.code), 'STOPPED');
  assert.equal(await pending, 'HANDLER_FAILED');
});
