// The worker of runtime-threads.test.ts and runtime-moves.test.ts: small actors that answer, end their thread, block it, and tell what they saw.

import { parentPort } from 'node:worker_threads';
import {
  type ActorContext,
  type ActorDefinition,
  defineActor,
  type Replier,
  RuntimeError,
  runThread,
  type SpanHandle,
  type SpanOptions,
} from '../../runtime/index.ts';
import { TransportError } from '../../transport/index.ts';

export interface ThreadTestData {
  /** Counts the stops of actors over all threads, in order: each takes the next number. */
  stops: SharedArrayBuffer;
}

export type ProbeMessage =
  | { kind: 'add'; value: number }
  | { kind: 'values' }
  | { kind: 'spans' }
  | { kind: 'where' }
  /** Past the log, straight to whoever listens to the worker. */
  | { kind: 'post'; values: unknown[] }
  | { kind: 'exit'; exitCode: number }
  | { kind: 'throwOutside'; what?: 'poison' }
  | { kind: 'block' }
  | { kind: 'hoard' }
  | { kind: 'never' }
  | { kind: 'fail'; with: 'text' | 'nothing' | 'rejection' }
  /** Answered when the actor stops, with the reason. */
  | { kind: 'whyStopped' }
  | { kind: 'toil'; ms: number }
  | { kind: 'forward'; key: string; value: number }
  | { kind: 'relay'; key: string; values: number[] }
  /** Asks the first key to do the same with the rest; the answer says how far it came. */
  | { kind: 'askAround'; keys: string[] };

export interface ProbeWhere {
  threadId: number;
  role: string;
  topic: unknown;
}

async function askAround(context: ActorContext<ProbeMessage>, next: string, keys: string[]): Promise<void> {
  const ref = context.ref<ProbeMessage>(context.self.kind, next);
  try {
    context.reply(await ref.ask({ kind: 'askAround', keys }, { timeoutMs: 10_000 }));
  } catch (error) {
    context.reply(error instanceof RuntimeError ? `${error.code}: ${error.message}` : String(error));
  }
}

/** Spans of this thread, as text. */
const spans: string[] = [];

function startSpan(name: string, options: SpanOptions = {}): SpanHandle {
  const own = `${options.traceparent?.slice(0, -4)}9-01`;
  spans.push(`${name} below ${options.traceparent}`);
  return { traceparent: own, end: () => void spans.push(`end ${own}`) };
}

function failWith(what: 'text' | 'nothing' | 'rejection'): Promise<void> {
  if (what === 'text') throw new Error('x'.repeat(70 * 1024 * 1024));
  if (what === 'nothing') throw Object.create(null);
  return Promise.reject(Object.create(null));
}

function toil(context: ActorContext<ProbeMessage>, message: { kind: 'toil'; ms: number }): void {
  const until = context.clock.monotonicMs() + message.ms;
  while (context.clock.monotonicMs() < until);
  context.ref<ProbeMessage>(context.self.kind, context.key).tell(message);
}

/** No text can be made of it. */
const unprintable: unknown = { toString: 1, valueOf: 1 };

function throwOutside(what: 'poison' | undefined): never {
  if (what === 'poison') throw unprintable;
  throw new Error('outside of any handler');
}

const broadcasts = new Map<string, unknown>();

function defineProbe(kind: string, role: string, threadId: number, stops: Int32Array): ActorDefinition<ProbeMessage> {
  return defineActor<ProbeMessage>({
    kind,
    role,
    create(context) {
      const values: number[] = [];
      let lastQuestion: Replier | undefined;
      return {
        onMessage(message) {
          switch (message.kind) {
            case 'add':
              values.push(message.value);
              return;
            case 'values':
              context.reply(values);
              return;
            case 'spans':
              context.reply(spans);
              return;
            case 'post':
              for (const value of message.values) parentPort?.postMessage(value);
              return;
            case 'where':
              context.reply({ threadId, role, topic: broadcasts.get('topic') } satisfies ProbeWhere);
              return;
            case 'exit':
              process.exit(message.exitCode);
              return;
            case 'throwOutside':
              queueMicrotask(() => throwOutside(message.what));
              return;
            case 'block':
              context.log.info({}, 'blocking');
              for (;;);
            case 'hoard':
              for (const hoard: object[] = []; ; ) hoard.push({ at: hoard.length, text: `hoard ${hoard.length}` });
            case 'never':
              return;
            case 'fail':
              return failWith(message.with);
            case 'whyStopped':
              lastQuestion = context.replier();
              return;
            case 'toil':
              toil(context, message);
              return;
            case 'forward':
              context.ref<ProbeMessage>(kind, message.key).tell({ kind: 'add', value: message.value });
              return;
            case 'relay':
              for (const value of message.values)
                context.ref<ProbeMessage>(kind, message.key).tell({ kind: 'add', value });
              context.reply(message.values.length);
              return;
            case 'askAround': {
              const [next, ...keys] = message.keys;
              if (next === undefined) context.reply('the end');
              else return askAround(context, next, keys);
            }
          }
        },
        onStop(reason) {
          lastQuestion?.reply(reason);
          if (reason === 'drain') Atomics.store(stops, threadId, Atomics.add(stops, 0, 1) + 1);
        },
      };
    },
  });
}

runThread({
  definitions(data, { threadId, role, log }) {
    const stops = new Int32Array((data as ThreadTestData).stops);
    if (role === 'broken') throw new TransportError('BROKEN', 'expected a whole thread, got a broken one');
    log.info({ threadId }, 'definitions made');
    return role === 'storage'
      ? [defineProbe('keeper', role, threadId, stops)]
      : [defineProbe('probe', role, threadId, stops)];
  },
  tracing: () => ({ enabled: true, start: startSpan }),
  onBroadcast: (topic, value) => broadcasts.set(topic, value),
  collect: () => ({ broadcasts: broadcasts.size }),
});
