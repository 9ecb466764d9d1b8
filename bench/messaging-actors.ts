// The actors the messaging scenario runs, in the main thread and in its worker: the cheapest handlers there can be, so
// that what is measured is the way to them.

import { type ActorDefinition, type ActorLog, ActorSystem, defineActor, realSeams } from '../runtime/index.ts';

export const window = 1000;
export const senderThread = 0;
export const receiverThread = 1;

export interface Start {
  messages: number;
  body: Uint8Array | number;
}

const silent = (): void => undefined;
const log: ActorLog = { debug: silent, info: silent, warn: silent, error: silent };

export function createBenchSystem(threadId: number, definitions: readonly ActorDefinition<never>[]): ActorSystem {
  const role = threadId === senderThread ? 'sender' : 'receiver';
  const roles = { pump: 'sender', sink: 'receiver', echo: 'receiver', idle: 'sender' };
  return new ActorSystem({ threadId, role, roles, definitions, seams: realSeams(), log, residentsMax: 1_000_000 });
}

/** Counts, and grants half a window at a time: the least a bounded pipeline can say. */
export function sinkDefinition(role: string): ActorDefinition<unknown> {
  return defineActor<unknown>({
    kind: 'sink',
    role,
    idleMs: 0,
    create: (context) => {
      const pump = context.ref<Granted>('pump', 'a');
      let handled = 0;
      return {
        onMessage: () => {
          handled += 1;
          if (handled % (window / 2) === 0) pump.tell({ granted: window / 2 });
        },
      };
    },
  });
}

interface Granted {
  granted: number;
}

export function pumpDefinition(done: () => void): ActorDefinition<Start | Granted> {
  return defineActor<Start | Granted>({
    kind: 'pump',
    role: 'sender',
    idleMs: 0,
    create: (context) => {
      const sink = context.ref<unknown>('sink', 'a');
      let body: unknown;
      let unsent = 0;
      let unhandled = 0;
      const send = (count: number): void => {
        for (let left = Math.min(count, unsent); left > 0; left -= 1) sink.tell(body);
        unsent -= Math.min(count, unsent);
      };
      return {
        onMessage: (message) => {
          if ('granted' in message) {
            unhandled -= message.granted;
            if (unhandled === 0) done();
            else send(message.granted);
            return;
          }
          body = message.body;
          unsent = message.messages;
          unhandled = message.messages;
          send(window);
        },
      };
    },
  });
}

export const echoDefinition: ActorDefinition<number> = defineActor<number>({
  kind: 'echo',
  role: 'receiver',
  idleMs: 0,
  create: (context) => ({ onMessage: (message) => context.reply(message) }),
});

/** Does nothing, for counting what an actor weighs. */
export const idleDefinition: ActorDefinition<number> = defineActor<number>({
  kind: 'idle',
  role: 'sender',
  idleMs: 0,
  create: () => idleBehavior,
});

const idleBehavior = { onMessage: silent };
