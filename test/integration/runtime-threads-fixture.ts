// What the tests of the thread pool share: a runtime of real worker threads, whose losses, log lines and stops can be
// waited for.

import { strict as assert } from 'node:assert';
import type { TestContext } from 'node:test';
import {
  type ActorLog,
  type ActorRef,
  type Runtime,
  type RuntimeOptions,
  startRuntime,
  type ThreadLoss,
  type ThreadTuning,
} from '../../runtime/index.ts';
import { workerEntry } from '../../transport/index.ts';
import type { ProbeMessage, ProbeWhere, ThreadTestData } from './runtime-threads-worker.ts';

export const timeoutMs = 20_000;
const roles = { probe: 'actors', keeper: 'storage' };

export interface Fixture {
  runtime: Runtime;
  probe(key: string): ActorRef<ProbeMessage>;
  /** Thread losses in order; each call waits for the next one. */
  nextLoss(): Promise<ThreadLoss>;
  nextLog(text: string): Promise<Record<string, unknown>>;
  fatal: Promise<Error>;
  /** Number taken by the last actor that stopped in a thread; 0 when none did. */
  stopNumber(threadId: number): number;
}

export async function setup(
  t: TestContext,
  tuning: Partial<ThreadTuning> = {},
  groups = defaultGroups,
): Promise<Fixture> {
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
export const quickStall = { stallCheckMs: 50, stallChecksMax: 10 };

export const quickSupervision = {
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
export async function keysOnTwoThreads({
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
