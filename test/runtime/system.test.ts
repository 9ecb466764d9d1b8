// What an actor author relies on, in one thread: order, asks, supervision, parking, schedules, outcomes, passivation.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ActorContext, type ActorRef, defineActor, type Replier, RuntimeError } from '../../runtime/index.ts';
import { testRuntime } from '../support/test-runtime.ts';

interface Note {
  kind: 'note';
  value: number;
}

/** Settles virtual time around an ask, and gives its outcome whatever it was. */
async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => (error instanceof RuntimeError ? error.code : error),
  );
}

test('messages of one sender are handled in order, one at a time', async (t) => {
  const handled: number[] = [];
  const overlaps: number[] = [];
  let running = 0;
  const slow = defineActor<Note>({
    kind: 'slow',
    role: 'any',
    create: () => ({
      onMessage: async (message) => {
        running += 1;
        if (running > 1) overlaps.push(message.value);
        await Promise.resolve();
        handled.push(message.value);
        running -= 1;
      },
    }),
  });
  const runtime = testRuntime({ definitions: [slow] }, t);
  for (let value = 0; value < 50; value += 1)
    assert.equal(runtime.ref<Note>('slow', 'a').tell({ kind: 'note', value }), true);
  await runtime.settle();
  assert.deepEqual(
    handled,
    Array.from({ length: 50 }, (_, value) => value),
  );
  assert.deepEqual(overlaps, []);
});

test('an ask is answered by reply, also after an await', async (t) => {
  const echo = defineActor<Note>({
    kind: 'echo',
    role: 'any',
    create: (context) => ({
      onMessage: async (message) => {
        await Promise.resolve();
        context.reply({ twice: message.value * 2 });
      },
    }),
  });
  const runtime = testRuntime({ definitions: [echo] }, t);
  const answer = outcomeOf(runtime.ref<Note>('echo', 'a').ask({ kind: 'note', value: 21 }, { timeoutMs: 100 }));
  await runtime.settle();
  assert.deepEqual(await answer, { value: { twice: 42 } });
});

test('an ask without an answer ends at its deadline, and the late answer is counted', async (t) => {
  let replier: Replier | undefined;
  const silent = defineActor<Note>({
    kind: 'silent',
    role: 'any',
    create: (context) => ({
      onMessage: () => {
        replier = context.replier();
      },
    }),
  });
  const runtime = testRuntime({ definitions: [silent] }, t);
  const answer = outcomeOf(runtime.ref<Note>('silent', 'a').ask({ kind: 'note', value: 1 }, { timeoutMs: 100 }));
  await runtime.advance(101);
  assert.equal(await answer, 'ASK_TIMEOUT');
  replier?.reply('too late');
  assert.equal(runtime.system.stats().lateReplies, 1);
});

test('an ask without a deadline and an unknown kind are refused with their codes', async (t) => {
  const runtime = testRuntime({ definitions: [] }, t);
  runtime.probe('known', 'a');
  const known = runtime.ref<Note>('known', 'a');
  const noDeadline = await outcomeOf(known.ask({ kind: 'note', value: 1 }, { timeoutMs: Number.NaN }));
  assert.equal(noDeadline, 'ASK_WITHOUT_DEADLINE');
  const unknown = runtime.ref<Note>('unknown', 'a');
  assert.equal(await outcomeOf(unknown.ask({ kind: 'note', value: 1 }, { timeoutMs: 5 })), 'UNKNOWN_KIND');
  assert.throws(() => unknown.tell({ kind: 'note', value: 1 }), { code: 'UNKNOWN_KIND' });
  const opaque = runtime.ref<unknown>('known', 'a');
  assert.throws(() => opaque.tell({ call: () => 1 }), { code: 'NOT_SERIALIZABLE' });
  assert.equal(await outcomeOf(opaque.ask({ call: () => 1 }, { timeoutMs: 5 })), 'NOT_SERIALIZABLE');
});

test('a handler that returns without answering an ask fails it at once', async (t) => {
  const deaf = defineActor<Note>({ kind: 'deaf', role: 'any', create: () => ({ onMessage: () => undefined }) });
  const runtime = testRuntime({ definitions: [deaf] }, t);
  const answer = outcomeOf(runtime.ref<Note>('deaf', 'a').ask({ kind: 'note', value: 1 }, { timeoutMs: 60_000 }));
  await runtime.settle();
  assert.equal(await answer, 'HANDLER_FAILED');
});

/** Fails on negative values; keeps repliers of even ones; tells what happened to it. */
function fragile(events: string[], failWith: (value: number) => Error = () => new Error('negative')) {
  let lives = 0;
  return defineActor<Note>({
    kind: 'fragile',
    role: 'any',
    supervision: { jitter: 0 },
    create: (context) => {
      lives += 1;
      const life = lives;
      return {
        onStart: () => {
          events.push(`start ${life}`);
        },
        onMessage: (message) => {
          if (message.value < 0) throw failWith(message.value);
          events.push(`${life}: ${message.value}`);
          if (message.value % 2 === 0) context.replier();
          else context.reply(message.value);
        },
        onStop: (reason) => {
          events.push(`stop ${life} ${reason}`);
        },
      };
    },
  });
}

test('a throw rejects its ask and the unanswered ones, restarts after the backoff, and keeps the mailbox', async (t) => {
  const events: string[] = [];
  const runtime = testRuntime({ definitions: [fragile(events)] }, t);
  const ref = runtime.ref<Note>('fragile', 'a');
  const deferred = outcomeOf(ref.ask({ kind: 'note', value: 2 }, { timeoutMs: 60_000 }));
  const failing = outcomeOf(ref.ask({ kind: 'note', value: -1 }, { timeoutMs: 60_000 }));
  const waiting = outcomeOf(ref.ask({ kind: 'note', value: 3 }, { timeoutMs: 60_000 }));
  await runtime.settle();
  assert.equal(await failing, 'HANDLER_FAILED');
  assert.equal(await deferred, 'HANDLER_FAILED');
  assert.deepEqual(events, ['start 1', '1: 2', 'stop 1 restart']);
  await runtime.advance(199);
  assert.deepEqual(events, ['start 1', '1: 2', 'stop 1 restart']);
  await runtime.advance(1);
  assert.deepEqual(await waiting, { value: 3 });
  assert.deepEqual(events.slice(3), ['start 2', '2: 3']);
  assert.deepEqual(
    runtime.deadLetters().map(({ reason }) => reason),
    ['handler-failed'],
  );
});

test('an actor that fails too often is parked, asks fail fast, its sibling goes on, and it comes back', async (t) => {
  const events: string[] = [];
  const runtime = testRuntime({ definitions: [fragile(events)] }, t);
  const sick = runtime.ref<Note>('fragile', 'sick');
  for (let time = 0; time < 6; time += 1) {
    sick.tell({ kind: 'note', value: -1 });
    await runtime.advance(7000);
  }
  assert.deepEqual(runtime.system.stats().parked, ['fragile/sick']);
  assert.equal(await outcomeOf(sick.ask({ kind: 'note', value: 1 }, { timeoutMs: 1000 })), 'ACTOR_PARKED');
  const healthy = outcomeOf(runtime.ref<Note>('fragile', 'well').ask({ kind: 'note', value: 7 }, { timeoutMs: 1000 }));
  await runtime.settle();
  assert.deepEqual(await healthy, { value: 7 });
  assert.equal(sick.tell({ kind: 'note', value: 9 }), true);
  await runtime.advance(300_000);
  assert.deepEqual(runtime.system.stats().parked, []);
  assert.ok(events.includes('7: 9') || events.some((event) => event.endsWith(': 9')));
});

test('failures of the environment back off but never park', async (t) => {
  const events: string[] = [];
  const away = () => Object.assign(new Error('storage away'), { environment: true });
  const runtime = testRuntime({ definitions: [fragile(events, away)] }, t);
  const ref = runtime.ref<Note>('fragile', 'a');
  for (let time = 0; time < 20; time += 1) {
    ref.tell({ kind: 'note', value: -1 });
    await runtime.advance(2000);
  }
  const { life, parked } = runtime.system.stats();
  assert.deepEqual(parked, []);
  assert.equal(life.parks, 0);
  assert.ok(life.restarts >= 5);
});

test('schedules replace and cancel by name and never reach a later incarnation', async (t) => {
  const seen: string[] = [];
  let context: ActorContext<string> | undefined;
  const timed = defineActor<string>({
    kind: 'timed',
    role: 'any',
    supervision: { jitter: 0 },
    create: (given) => {
      context = given;
      return {
        onMessage: (message) => {
          if (message === 'fail') throw new Error('asked to');
          seen.push(message);
        },
      };
    },
  });
  const runtime = testRuntime({ definitions: [timed] }, t);
  const ref = runtime.ref<string>('timed', 'a');
  ref.tell('first');
  await runtime.settle();
  context?.schedule('one', 100, 'replaced');
  context?.schedule('one', 200, 'one');
  context?.schedule('two', 100, 'cancelled');
  context?.cancel('two');
  await runtime.advance(250);
  assert.deepEqual(seen, ['first', 'one']);
  context?.schedule('three', 1000, 'stale');
  ref.tell('fail');
  await runtime.advance(5000);
  assert.deepEqual(seen, ['first', 'one']);
});

test('an outcome comes back as a message of the same incarnation only', async (t) => {
  const seen: unknown[] = [];
  const resolvers: ((value: number) => void)[] = [];
  const piping = defineActor<{ kind: 'begin' | 'fail' } | { kind: 'outcome'; value: unknown }>({
    kind: 'piping',
    role: 'any',
    create: (context) => ({
      onMessage: (message) => {
        if (message.kind === 'fail') throw new Error('asked to');
        if (message.kind === 'outcome') seen.push(message.value);
        if (message.kind !== 'begin') return;
        const promise = new Promise<number>((resolve) => resolvers.push(resolve));
        context.pipeToSelf(promise, (outcome) => ({ kind: 'outcome', value: outcome.ok ? outcome.value : -1 }));
      },
    }),
  });
  const runtime = testRuntime({ definitions: [piping] }, t);
  const ref = runtime.ref<{ kind: string }>('piping', 'a');
  ref.tell({ kind: 'begin' });
  ref.tell({ kind: 'begin' });
  await runtime.settle();
  resolvers[0]?.(1);
  await runtime.settle();
  assert.deepEqual(seen, [1]);
  ref.tell({ kind: 'fail' });
  await runtime.settle();
  resolvers[1]?.(2);
  await runtime.advance(1000);
  assert.deepEqual(seen, [1]);
  assert.equal(runtime.system.stats().life.stale, 1);
});

test('an idle actor is passivated, and one with work under way is not', async (t) => {
  const events: string[] = [];
  const runtime = testRuntime({ definitions: [fragile(events)] }, t);
  runtime.ref<Note>('fragile', 'a').tell({ kind: 'note', value: 1 });
  void outcomeOf(runtime.ref<Note>('fragile', 'b').ask({ kind: 'note', value: 2 }, { timeoutMs: 1_000_000 }));
  await runtime.advance(62_000);
  assert.deepEqual(events, ['start 1', '1: 1', 'start 2', '2: 2', 'stop 1 passivated']);
  assert.equal(runtime.system.stats().actors, 1);
  runtime.ref<Note>('fragile', 'a').tell({ kind: 'note', value: 3 });
  await runtime.settle();
  assert.deepEqual(events.slice(5), ['start 3', '3: 3']);
});

test('a message that comes while an actor passivates starts it again', async (t) => {
  const events: string[] = [];
  let endStop: () => void = () => undefined;
  const leaving = defineActor<number>({
    kind: 'leaving',
    role: 'any',
    create: (context) => ({
      onMessage: (message) => {
        events.push(`got ${message}`);
        context.passivate();
      },
      onStop: () =>
        new Promise<void>((resolve) => {
          endStop = resolve;
        }),
    }),
  });
  const runtime = testRuntime({ definitions: [leaving] }, t);
  const ref: ActorRef<number> = runtime.ref('leaving', 'a');
  ref.tell(1);
  await runtime.settle();
  assert.equal(ref.tell(2), true);
  await runtime.settle();
  assert.deepEqual(events, ['got 1']);
  endStop();
  await runtime.settle();
  assert.deepEqual(events, ['got 1', 'got 2']);
  endStop();
  await runtime.settle();
  assert.equal(runtime.system.stats().actors, 0);
});

test('a full mailbox refuses, or drops its oldest, and says so', async (t) => {
  const seen: number[] = [];
  const define = (kind: string, overflow: 'reject' | 'dropOldest') =>
    defineActor<number>({
      kind,
      role: 'any',
      mailbox: { capacity: 3, overflow },
      create: () => ({
        onMessage: (message) => {
          seen.push(message);
        },
      }),
    });
  const runtime = testRuntime({ definitions: [define('strict', 'reject'), define('lossy', 'dropOldest')] }, t);
  const strict = [1, 2, 3, 4].map((value) => runtime.ref<number>('strict', 'a').tell(value));
  assert.deepEqual(strict, [true, true, true, false]);
  const refused = await outcomeOf(runtime.ref<number>('strict', 'a').ask(5, { timeoutMs: 1000 }));
  assert.equal(refused, 'MAILBOX_FULL');
  const lossy = [11, 12, 13, 14].map((value) => runtime.ref<number>('lossy', 'a').tell(value));
  assert.deepEqual(lossy, [true, true, true, true]);
  await runtime.settle();
  assert.deepEqual(seen, [1, 2, 3, 12, 13, 14]);
  assert.deepEqual(runtime.system.stats().deadLetters, { 'mailbox-full': 2, 'dropped-oldest': 1 });
});

test('a drain lets the message in hand end, stops batch actors before interactive ones and refuses the rest', async (t) => {
  const events: string[] = [];
  const define = (kind: string, priority: 'batch' | 'interactive') =>
    defineActor<number>({
      kind,
      role: 'any',
      priority,
      create: (context) => ({
        onMessage: async (message) => {
          if (kind === 'stage')
            await new Promise<void>((resolve) => context.signal.addEventListener('abort', () => resolve()));
          events.push(`${kind} ${message}`);
          context.reply(message);
        },
        onStop: async (reason) => {
          if (kind === 'stage') await context.ref<number>('store', 'a').ask(99, { timeoutMs: 100 });
          events.push(`${kind} ${reason}`);
        },
      }),
    });
  const runtime = testRuntime({ definitions: [define('store', 'interactive'), define('stage', 'batch')] }, t);
  runtime.ref<number>('stage', 'a').tell(1);
  const unbegun = outcomeOf(runtime.ref<number>('stage', 'a').ask(2, { timeoutMs: 60_000 }));
  await runtime.settle();
  const drained = runtime.system.drain(1000);
  assert.equal(runtime.ref<number>('store', 'a').tell(3), false);
  await runtime.settle();
  assert.deepEqual(await drained, { clean: true, unfinished: [] });
  assert.deepEqual(events, ['stage 1', 'store 99', 'stage drain', 'store drain']);
  assert.equal(await unbegun, 'DRAINING');
  assert.equal(await outcomeOf(runtime.ref<number>('store', 'a').ask(4, { timeoutMs: 10 })), 'STOPPED');
});

test('a drain names who did not end by the deadline', async (t) => {
  const stuck = defineActor<number>({
    kind: 'stuck',
    role: 'any',
    create: () => ({ onMessage: () => new Promise<void>(() => undefined) }),
  });
  const runtime = testRuntime({ definitions: [stuck] }, t);
  runtime.ref<number>('stuck', 'a').tell(1);
  await runtime.settle();
  const drained = runtime.system.drain(1000);
  await runtime.advance(1000);
  assert.deepEqual(await drained, { clean: false, unfinished: ['stuck/a'] });
});

test('more residents than the cap passivate the least recently used', async (t) => {
  const events: string[] = [];
  const runtime = testRuntime({ definitions: [fragile(events)], residentsMax: 20 }, t);
  for (let index = 0; index < 40; index += 1) {
    runtime.ref<Note>('fragile', `key${index}`).tell({ kind: 'note', value: 1 });
    await runtime.advance(150);
  }
  assert.ok(runtime.system.stats().actors <= 20);
  assert.ok(events.includes('stop 1 passivated'));
  assert.ok(!events.includes('stop 40 passivated'));
});
