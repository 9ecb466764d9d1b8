// Body of a worker thread: hosts an ActorSystem and answers main's control calls. It decides nothing by itself, so that
// the order of start, meshing, drain and end is in one place, the pool on main.

import { strict as assert } from 'node:assert';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { createPortLink, exposeControl, type Link, textOfError } from '../transport/index.ts';
import type { ActorDefinition, ActorLog } from './actor.ts';
import type { DrainOutcome } from './drain.ts';
import { RunningActor } from './running-actor.ts';
import { realSeams, type Seams } from './seams.ts';
import { ActorSystem } from './system.ts';
import type { Tracing } from './telemetry.ts';
import type { ThreadControl, ThreadFigures, ThreadLogLine, ThreadStart } from './thread-contract.ts';

export interface ThreadOptions {
  /** `data` is `RuntimeOptions.threadData`. */
  definitions(
    data: unknown,
    thread: { threadId: number; role: string; log: ActorLog },
  ): ActorDefinition<never>[] | Promise<ActorDefinition<never>[]>;
  /**
   * Asked once, after `definitions`: a span `actor.receive <kind>` for each message whose traceparent is sampled; what its
   * handler sends and traces is below it.
   */
  tracing?(): Tracing;
  /** Runs before any actor of a new thread starts, and at every later broadcast. */
  onBroadcast?(topic: string, value: unknown): void;
  /** Figures of the product's own, e.g. a metrics snapshot; structured-cloneable; returned by `Runtime.stats`. */
  collect?(): unknown;
  /** After all actors of the thread stopped: the last moment to flush and close what they shared. */
  onDrained?(): Promise<void>;
  /** The thread was told to leave, but something (a request without an answer) still holds it: the last moment to exit. */
  onLingering?(): void;
}

/** A thread that was told to leave may take this long to close what it has open. */
const lingerMs = 250;

/** Call once, from the worker's entry file. */
export function runThread(options: ThreadOptions): void {
  assert(parentPort !== null, 'expected runThread to be called in a worker thread');
  const start = workerData as ThreadStart;
  const log = createThreadLog(parentPort);
  const seams = realSeams();
  const links = new ThreadLinks();
  const system = (async () => {
    const definitions = await options.definitions(start.threadData, {
      threadId: start.threadId,
      role: start.role,
      log,
    });
    const { threadId, role, roles, refuseAskCycles } = start;
    const tracing = options.tracing?.();
    return new ActorSystem({
      threadId,
      role,
      roles,
      definitions,
      seams,
      log,
      refuseAskCycles,
      heartbeat: new Int32Array(start.heartbeat),
      running: new RunningActor(start.running),
      ...(tracing === undefined ? {} : { tracing }),
    });
  })();
  // Main hears of a failure by `ready`; this keeps it from counting as unhandled before that call.
  system.catch(() => undefined);
  exposeControl(start.control, createControl({ options, system, links, control: start.control, seams }));
}

interface ThreadParts {
  options: ThreadOptions;
  system: Promise<ActorSystem>;
  links: ThreadLinks;
  control: MessagePort;
  seams: Seams;
}

function createControl({ options, system, links, control, seams }: ThreadParts): ThreadControl {
  return {
    ready: async () => {
      await system;
    },
    broadcast: (topic, value) => options.onBroadcast?.(topic, value),
    attachLink: async (peer, port) => links.attach(await system, peer, port),
    detachLink: async (peer, reason) => links.detach(await system, peer, reason),
    setPlacement: async (table) => (await system).setPlacement(table),
    hold: async (address, epoch) => (await system).hold(address, epoch),
    handOver: async (address, epoch, handOver) => (await system).handOver(address, epoch, handOver),
    fence: async (address, epoch) => (await system).fence(address, epoch),
    release: async (address, epoch, table) => (await system).release(address, epoch, table),
    probe: () => undefined,
    figures: async () => figuresOf(await system, options.collect?.()),
    load: async () => (await system).load(),
    drain: async (deadlineMs) => drainThread(await system, options, deadlineMs),
    leave: () => {
      // Only after this turn: the answer to this very call must leave first.
      seams.executor.nextTurn(() => {
        links.close();
        control.close();
        // The timer does not keep the thread alive: it comes only where something else does.
        seams.clock.setTimer(lingerMs, () => options.onLingering?.());
      });
    },
  };
}

async function drainThread(system: ActorSystem, options: ThreadOptions, deadlineMs: number): Promise<DrainOutcome> {
  const outcome = await system.drain(deadlineMs);
  await options.onDrained?.();
  return outcome;
}

export function figuresOf(system: ActorSystem, collected: unknown): ThreadFigures {
  const stats = system.stats();
  const { actors, parked, mailboxDepth, deadLetters, links } = stats;
  return { actors, parked: parked.length, mailboxDepth, deadLetters, links, collected, system: stats };
}

/** The links of one thread by peer; main has one too. */
export class ThreadLinks {
  readonly #links = new Map<number, Link>();

  attach(system: ActorSystem, peer: number, port: MessagePort): void {
    const link = createPortLink(port, peer);
    this.#links.set(peer, link);
    system.attachLink(link);
  }

  detach(system: ActorSystem, peer: number, reason: string): void {
    const link = this.#links.get(peer);
    if (link === undefined) return;
    this.#links.delete(peer);
    link.close();
    system.detachLink(peer, reason);
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}

/** Lines go to main: one writer for the process, and lines posted just before an exit still arrive. */
function createThreadLog(port: MessagePort): ActorLog {
  const post = (level: ThreadLogLine['level']) => (fields: Record<string, unknown>, text: string) => {
    try {
      port.postMessage({ level, fields, text } satisfies ThreadLogLine);
    } catch {
      // Something in the fields cannot be cloned; the line matters more than its types.
      const printed = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, textOfError(value)]));
      port.postMessage({ level, fields: printed, text } satisfies ThreadLogLine);
    }
  };
  return { debug: post('debug'), info: post('info'), warn: post('warn'), error: post('error') };
}
