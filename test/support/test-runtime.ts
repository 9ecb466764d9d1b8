// One actor system on virtual time, for tests of actors: nothing moves but when the test says so, and every message is
// encoded, decoded and frozen on its way, as strictly as if it crossed a thread. Actors that ask in a circle are found out.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { TestContext } from 'node:test';
import {
  type ActorDefinition,
  type ActorLog,
  type ActorRef,
  ActorSystem,
  type DeadLetter,
  deadLetterChannel,
  realSeams,
  realTurn,
  type VirtualClock,
  virtualSeams,
} from '../../runtime/index.ts';
import { setStrictEncoding } from '../../transport/index.ts';

export interface TestRuntimeOptions {
  definitions: readonly ActorDefinition<never>[];
  seed?: number;
  /** Default true. Off, messages are shared by reference as in production. */
  serializeLocalMessages?: boolean;
  /** For tests against a real database or socket: real time and turns, `advance` and `settle` then do not apply. */
  realTime?: boolean;
  residentsMax?: number;
  mailboxBytesMax?: number;
}

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  fields: Record<string, unknown>;
  text: string;
}

/** An actor that records what it is told, in the order it is told. */
export interface Probe<Message = unknown> {
  readonly messages: Message[];
  readonly ref: ActorRef<Message>;
  /** Resolves when that many messages have come; settles nothing by itself. */
  received(count: number): Promise<Message[]>;
  /** Answers asks from now on. */
  answerWith(answer: (message: Message) => unknown): void;
}

export interface TestRuntime {
  readonly system: ActorSystem;
  readonly clock: VirtualClock;
  readonly log: readonly LogLine[];
  ref<Message>(kind: string, key: string): ActorRef<Message>;
  /** Takes the place of an actor; its kind must not be among the definitions. Make it before somebody tells it something. */
  probe<Message = unknown>(kind: string, key: string): Probe<Message>;
  /** Runs everything that can run now, without letting time pass. */
  settle(): Promise<void>;
  /** Lets time pass, timer by timer, settling after each. */
  advance(ms: number): Promise<void>;
  deadLetters(): readonly DeadLetter[];
  stop(): Promise<void>;
}

const settleRoundsMax = 100_000;

export function testRuntime(options: TestRuntimeOptions, t?: TestContext): TestRuntime {
  setStrictEncoding(true);
  const probes = new ProbeRegistry();
  const virtual = virtualSeams(options.seed ?? 1);
  const log: LogLine[] = [];
  const system = new ActorSystem({
    threadId: 0,
    role: 'test',
    definitions: options.definitions.map((definition) => ({ ...definition, role: 'test' })),
    roles: {},
    seams: options.realTime === true ? realSeams() : virtual,
    log: recordingLog(log),
    serializeLocalMessages: options.serializeLocalMessages ?? true,
    refuseAskCycles: true,
    ...(options.residentsMax === undefined ? {} : { residentsMax: options.residentsMax }),
    ...(options.mailboxBytesMax === undefined ? {} : { mailboxBytesMax: options.mailboxBytesMax }),
  });
  const letters: DeadLetter[] = [];
  const onLetter = (letter: unknown): void => {
    letters.push(letter as DeadLetter);
  };
  subscribe(deadLetterChannel, onLetter);
  const settle = async (): Promise<void> => {
    for (let round = 0; round < settleRoundsMax; round += 1) {
      const hasRun = virtual.executor.runTurn();
      await realTurn();
      if (!hasRun && virtual.executor.size === 0) return;
    }
    throw new Error(`expected the actors to come to rest within ${settleRoundsMax} turns`);
  };
  const advance = async (ms: number): Promise<void> => {
    const untilMs = virtual.clock.monotonicMs() + ms;
    await settle();
    while (virtual.clock.fireNext(untilMs)) await settle();
    virtual.clock.spend(Math.max(0, untilMs - virtual.clock.monotonicMs()));
  };
  const stop = async (): Promise<void> => {
    unsubscribe(deadLetterChannel, onLetter);
    const drained = system.drain(1000);
    if (options.realTime !== true) await advance(1000);
    await drained;
  };
  t?.after(stop);
  return {
    system,
    clock: virtual.clock,
    log,
    ref: (kind, key) => system.ref(kind, key),
    probe: <Message>(kind: string, key: string) => {
      if (probes.isNew(kind)) system.define(probes.define(kind));
      return probes.probe<Message>(kind, key, system.ref<Message>(kind, key));
    },
    settle,
    advance,
    deadLetters: () => letters,
    stop,
  };
}

interface ProbeRecord {
  messages: unknown[];
  answer: ((message: never) => unknown) | undefined;
  waiting: { count: number; resolve: () => void }[];
}

class ProbeRegistry {
  private readonly records = new Map<string, ProbeRecord>();
  private readonly kinds = new Set<string>();

  isNew(kind: string): boolean {
    return !this.kinds.has(kind);
  }

  define(kind: string): ActorDefinition<unknown> {
    this.kinds.add(kind);
    return {
      kind,
      role: 'test',
      idleMs: 0,
      create: (context) => {
        const record = this.recordOf(kind, context.key);
        return {
          onMessage: (message) => {
            record.messages.push(message);
            if (record.answer !== undefined) context.reply(record.answer(message as never));
            else context.replier();
            record.waiting = record.waiting.filter(({ count, resolve }) => {
              if (record.messages.length >= count) resolve();
              return record.messages.length < count;
            });
          },
        };
      },
    };
  }

  probe<Message>(kind: string, key: string, ref: ActorRef<Message>): Probe<Message> {
    const record = this.recordOf(kind, key);
    return {
      ref,
      messages: record.messages as Message[],
      received: async (count) => {
        if (record.messages.length < count) {
          await new Promise<void>((resolve) => record.waiting.push({ count, resolve }));
        }
        return record.messages as Message[];
      },
      answerWith: (answer) => {
        record.answer = answer as (message: never) => unknown;
      },
    };
  }

  private recordOf(kind: string, key: string): ProbeRecord {
    const name = `${kind}/${key}`;
    const known = this.records.get(name);
    if (known !== undefined) return known;
    const record: ProbeRecord = { messages: [], answer: undefined, waiting: [] };
    this.records.set(name, record);
    return record;
  }
}

function recordingLog(lines: LogLine[]): ActorLog {
  const record = (level: LogLine['level']) => (fields: Record<string, unknown>, text: string) => {
    lines.push({ level, fields, text });
  };
  return { debug: record('debug'), info: record('info'), warn: record('warn'), error: record('error') };
}
