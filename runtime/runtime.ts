// The façade main uses: starts the threads, gives references to actors wherever they live, and drains everything in
// order. Main is a peer of its threads: it hosts actors of the role `main` in the same kind of system.

import { eventLoopGauge } from '../transport/index.ts';
import type { ActorDefinition, ActorLog, ActorRef } from './actor.ts';
import type { ActorAddress } from './address.ts';
import { checkDelay, invalid } from './arguments.ts';
import { checkThreads } from './definition-check.ts';
import type { DrainOutcome } from './drain.ts';
import { DrainClock } from './drain-clock.ts';
import { realSeams, type Seams } from './seams.ts';
import { ActorSystem } from './system.ts';
import type { Tracing } from './telemetry.ts';
import { figuresOf } from './thread.ts';
import { mainRole, mainThreadId, type ThreadFigures } from './thread-contract.ts';
import { drainGroup, hurryDrain, leaveThreads } from './thread-drain.ts';
import { ThreadPool } from './thread-pool.ts';
import {
  type Slot,
  type SlotState,
  type ThreadGroup,
  type ThreadLoss,
  type ThreadTuning,
  threadTuningDefaults,
} from './thread-slot.ts';

export type { ThreadGroup, ThreadLoss, ThreadTuning } from './thread-slot.ts';

export interface RuntimeOptions {
  /** Worker file; it calls `runThread`. */
  entry: URL;
  /** In drain order: earlier groups drain first. */
  groups: ThreadGroup[];
  /** Actor kind → role, for all kinds; the role `main` is this thread. */
  roles: Readonly<Record<string, string>>;
  /** Given to every worker as a structured clone. */
  threadData: unknown;
  /** Hosted on the main thread; drained before all groups. */
  definitions?: ActorDefinition<never>[];
  log: ActorLog;
  /** After the replacement is ready. */
  onThreadLost?(event: ThreadLoss): void;
  /** Threads were lost too often: drain what is left and exit. */
  onFatal(reason: Error): void;
  tuning?: Partial<ThreadTuning>;
  /** Spans of the messages that actors of main handle; the threads have their own, see `ThreadOptions.tracing`. */
  tracing?: Tracing;
  /** Refuse asks that would wait for each other, over all threads, with ASK_CYCLE: for tests. */
  refuseAskCycles?: boolean;
}

export interface ThreadStats extends ThreadFigures {
  threadId: number;
  role: string;
  /** `silent`: it gave no figures in time; they read as zero. */
  state: SlotState | 'silent';
  restarts: number;
  uptimeMs: number;
  eventLoopUtilization: number;
}

export interface RuntimeStats {
  threads: ThreadStats[];
  /** By reason, over all threads that answered. */
  deadLetters: Record<string, number>;
}

export interface Runtime {
  /** Throws INVALID_ARGUMENT for a key that is no well-formed text of at most 4,096 characters. */
  ref<Message>(kind: string, key: string): ActorRef<Message>;
  /**
   * Resolves when every live thread applied it, rejects when one refused. A respawned thread gets the last value before
   * its actors start, or `lasting` instead: the whole, where `value` only says what changed.
   */
  broadcast(topic: string, value: unknown, lasting?: unknown): Promise<void>;
  /**
   * Moves the actor to the thread, with what is in its mailbox but without its state, and keeps it there until `unpin`.
   * Rejects with MOVE_ABORTED (it stays where it was, try again), UNKNOWN_KIND, DRAINING or STOPPED.
   */
  pin(address: ActorAddress, threadId: number): Promise<void>;
  /** Takes a pin back: the actor moves to where the hash places it. Rejects like `pin`. */
  unpin(address: ActorAddress): Promise<void>;
  /** Printed address → thread: what `pin` and the rebalancer keep away from where the hash would place it. */
  pins(): Readonly<Record<string, number>>;
  /** Starts the threads of a group that was declared `deferred`; a no-op when they are there. */
  startGroup(role: string): Promise<void>;
  stats(): Promise<RuntimeStats>;
  /**
   * Stops all actors: those of main, then group by group. Each ends the message in hand and its `onStop`; what waits in
   * its mailbox and has not begun is a dead letter (`draining`), and an ask among it rejects with DRAINING. From the
   * call on, messages from outside any actor are refused the same way. Asks main has sent before may be answered until
   * the last group has stopped; then they reject with STOPPED. `clean` says that all actors ended in time, not that
   * their mailboxes were empty. Idempotent; a later call can only bring the deadline nearer.
   */
  drain(options: { deadlineMs: number }): Promise<DrainOutcome>;
  /** Ends the threads, after a drain without patience if there was none. */
  stop(): Promise<void>;
}

/** Threads that are busy answer late; their figures are then left out rather than waited for. */
const figuresTimeoutMs = 2_000;

/** Resolves when all threads are ready and linked with one another. */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const seams = realSeams();
  checkThreads(options.groups, options.tuning ?? {});
  const tuning = { ...threadTuningDefaults, ...options.tuning };
  const { roles, log, entry, groups, threadData, onFatal } = options;
  const definitions = options.definitions ?? [];
  const refuseAskCycles = options.refuseAskCycles ?? false;
  const tracing = options.tracing === undefined ? {} : { tracing: options.tracing };
  const own = { threadId: mainThreadId, role: mainRole, roles, definitions, seams, log, refuseAskCycles, ...tracing };
  const system = new ActorSystem(own);
  const onThreadLost = options.onThreadLost ?? (() => undefined);
  const given = { entry, groups, roles, threadData, refuseAskCycles, onThreadLost, onFatal };
  const pool = new ThreadPool({ ...given, system, seams, log, tuning });
  await pool.start();
  return new ThreadedRuntime({ system, pool, seams, tuning, log });
}

interface RuntimeParts {
  system: ActorSystem;
  pool: ThreadPool;
  seams: Seams;
  tuning: ThreadTuning;
  log: ActorLog;
}

class ThreadedRuntime implements Runtime {
  readonly #system: ActorSystem;
  readonly #pool: ThreadPool;
  readonly #seams: Seams;
  readonly #tuning: ThreadTuning;
  readonly #log: ActorLog;
  readonly #startedMs: number;
  readonly #loopUtilization = eventLoopGauge();
  #drainClock: DrainClock | undefined;
  #drained: Promise<DrainOutcome> | undefined;
  #stopped: Promise<void> | undefined;

  constructor({ system, pool, seams, tuning, log }: RuntimeParts) {
    this.#log = log;
    this.#system = system;
    this.#pool = pool;
    this.#seams = seams;
    this.#tuning = tuning;
    this.#startedMs = seams.clock.monotonicMs();
  }

  ref<Message>(kind: string, key: string): ActorRef<Message> {
    return this.#system.ref<Message>(kind, key);
  }

  broadcast(topic: string, value: unknown, lasting: unknown = value): Promise<void> {
    return this.#pool.broadcast(topic, value, lasting);
  }

  async pin(address: ActorAddress, threadId: number): Promise<void> {
    if (!Number.isInteger(threadId)) throw invalid('the threadId of a pin', 'a whole number', threadId);
    await this.#pool.pin(address, threadId);
  }

  unpin(address: ActorAddress): Promise<void> {
    return this.#pool.pin(address, undefined);
  }

  pins(): Readonly<Record<string, number>> {
    return { ...this.#pool.pins() };
  }

  startGroup(role: string): Promise<void> {
    return this.#pool.startGroup(role);
  }

  async stats(): Promise<RuntimeStats> {
    const threads = [this.#mainStats(), ...(await Promise.all(this.#pool.slots.map((slot) => this.#slotStats(slot))))];
    const deadLetters: Record<string, number> = {};
    for (const thread of threads) {
      for (const [reason, count] of Object.entries(thread.deadLetters)) {
        deadLetters[reason] = (deadLetters[reason] ?? 0) + count;
      }
    }
    return { threads, deadLetters };
  }

  drain(options: { deadlineMs: number }): Promise<DrainOutcome> {
    try {
      checkDelay('the deadlineMs of a drain', options?.deadlineMs);
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#drained !== undefined) {
      if (this.#drainClock?.shorten(options.deadlineMs) === true) {
        hurryDrain(this.#pool.slots, options.deadlineMs, this.#tuning.drainGraceMs);
      }
      return this.#drained;
    }
    this.#drainClock = new DrainClock(this.#seams.clock, options.deadlineMs, this.#tuning.drainGraceMs);
    this.#drained = this.#drainInOrder(this.#drainClock);
    return this.#drained;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopAfterDrain();
    return this.#stopped;
  }

  async #drainInOrder(clock: DrainClock): Promise<DrainOutcome> {
    this.#pool.beginEnd();
    const { groups, slots } = this.#pool;
    const { drainGraceMs } = this.#tuning;
    const unfinished: string[] = [];
    const add = (outcome: DrainOutcome) => unfinished.push(...outcome.unfinished);
    const late: DrainOutcome = { clean: false, unfinished: [`thread ${mainThreadId} (${mainRole})`] };
    // Main stays open for answers until the last group has stopped: what it asked them, they may still answer.
    const own = this.#system.drain(clock.shareMs(groups.length), { staysOpen: true });
    add(await Promise.race([own, clock.expired.then(() => late)]));
    for (const [index, group] of groups.entries()) {
      add(await drainGroup(group, slots, clock, { laterGroups: groups.length - index - 1, drainGraceMs }));
    }
    clock.stop();
    this.#system.close();
    return { clean: unfinished.length === 0, unfinished };
  }

  async #stopAfterDrain(): Promise<void> {
    await this.drain({ deadlineMs: 0 });
    const terminated = await leaveThreads(this.#pool.slots, this.#seams.clock, this.#tuning);
    for (const { threadId, group } of terminated) {
      this.#log.warn({ threadId, role: group.role }, 'terminated a thread that did not leave by itself');
    }
    this.#pool.close();
  }

  #mainStats(): ThreadStats {
    return {
      threadId: mainThreadId,
      role: mainRole,
      state: this.#drained === undefined ? 'live' : 'draining',
      restarts: 0,
      uptimeMs: this.#seams.clock.monotonicMs() - this.#startedMs,
      eventLoopUtilization: this.#loopUtilization(),
      ...figuresOf(this.#system, undefined),
    };
  }

  async #slotStats(slot: Slot): Promise<ThreadStats> {
    const figures = await this.#pool.figures(slot, figuresTimeoutMs);
    return {
      threadId: slot.threadId,
      role: slot.group.role,
      state: figures === undefined && slot.state === 'live' ? 'silent' : slot.state,
      restarts: slot.restarts,
      uptimeMs: this.#seams.clock.monotonicMs() - slot.startedMs,
      eventLoopUtilization: slot.thread.loopUtilization(),
      ...(figures ?? noFigures),
    };
  }
}

const noFigures: ThreadFigures = {
  actors: 0,
  parked: 0,
  mailboxDepth: 0,
  deadLetters: {},
  links: [],
  collected: undefined,
  system: undefined,
};
