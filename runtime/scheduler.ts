// Shares one thread among its actors by time. Ready actors wait in a queue per priority class; each gets a slice until
// 16 messages or 2 ms; a turn ends after 8 ms (one slice for an actor alone), so that ports, timers and sockets run in
// between. Deficit round robin: an actor that overran its slice skips rounds until its time is repaid, so cost is
// shared, not message counts. This is the bound on how much one tenant can delay another in the same thread.

import type { ActorLog } from './actor.ts';
import type { ActorAddress } from './address.ts';
import { LogLimit } from './dead-letters.ts';
import { Ring } from './mailbox.ts';
import type { RunningActor } from './running-actor.ts';
import type { Clock, Executor } from './seams.ts';

export interface SchedulerOptions {
  sliceMessagesMax: number;
  sliceMs: number;
  turnMs: number;
  /** A slice above this is reported with the name of its actor. */
  longSliceMs: number;
}

export const schedulerDefaults: Readonly<SchedulerOptions> = Object.freeze({
  sliceMessagesMax: 16,
  sliceMs: 2,
  turnMs: 8,
  longSliceMs: 50,
});

/** Of five slices four go to the interactive class while both have work. Never strict. */
const interactiveShare = 4;
/** Messages between two looks at the clock; 1 for an actor that overran its last slice. */
const messagesPerClockRead = 4;

export interface Schedulable {
  readonly address: ActorAddress;
  /** Where the thread's `RunningActor` has its name. */
  readonly place: number;
  readonly isInteractive: boolean;
  /** Owned by the scheduler: in a run queue, or having its slice. */
  isQueued: boolean;
  /** Owned by the scheduler: microseconds used beyond what was granted. */
  debtUs: number;
  /** Owned by the scheduler: microseconds used since somebody set it to 0. */
  busyUs: number;
  /** Handles messages until `slice.isSpent()`, or there are none, or it must wait. True = still has work. */
  runSlice(slice: Slice): boolean;
}

/** One actor's turn; a single object, reused. */
export class Slice {
  messages = 0;
  nowMs = 0;
  private endMs = 0;
  private stride = messagesPerClockRead;
  private untilClockRead = messagesPerClockRead;
  private readonly clock: Clock;
  private readonly options: SchedulerOptions;

  constructor(clock: Clock, options: SchedulerOptions) {
    this.clock = clock;
    this.options = options;
  }

  begin(isCareful: boolean): void {
    this.messages = 0;
    this.endMs = this.nowMs + this.options.sliceMs;
    this.stride = isCareful ? 1 : messagesPerClockRead;
    this.untilClockRead = this.stride;
  }

  /** Called after each message. */
  isSpent(): boolean {
    this.messages += 1;
    if (this.messages >= this.options.sliceMessagesMax) return true;
    this.untilClockRead -= 1;
    if (this.untilClockRead > 0) return false;
    this.untilClockRead = this.stride;
    this.nowMs = this.clock.monotonicMs();
    return this.nowMs >= this.endMs;
  }
}

/** Slice times in powers of two of a microsecond: bucket n counts slices under 2^n µs. */
export const sliceBuckets = 24;

export interface SchedulerStats {
  turns: number;
  slices: number;
  messages: number;
  busyMs: number;
  longSlices: number;
  longestSliceMs: number;
  ready: number;
  sliceUsBuckets: readonly number[];
}

export interface SchedulerSetup {
  clock: Clock;
  executor: Executor;
  log: ActorLog;
  options?: Partial<SchedulerOptions> | undefined;
  /** Index 0 counts turns; index 1, if there is one, is 1 while work is queued. Read by whoever watches for stalls. */
  heartbeat?: Int32Array | undefined;
  /** Where the actor that has its slice is named. */
  running?: RunningActor | undefined;
  /** Runs after the slices of a turn: links post what the actors sent. */
  endTurn(): void;
}

export class Scheduler {
  private readonly clock: Clock;
  private readonly executor: Executor;
  private readonly log: ActorLog;
  private readonly options: SchedulerOptions;
  private readonly heartbeat: Int32Array;
  private readonly tellsWork: boolean;
  private readonly running: RunningActor | undefined;
  private readonly endTurn: () => void;
  private readonly interactive = new Ring<Schedulable>();
  private readonly batch = new Ring<Schedulable>();
  private readonly slice: Slice;
  private readonly limit: LogLimit;
  private readonly buckets = new Array<number>(sliceBuckets).fill(0);
  private readonly sliceUs: number;
  private served = 0;
  private isTurnRequested = false;
  private isInTurn = false;
  private turns = 0;
  private slices = 0;
  private messages = 0;
  private busyUs = 0;
  private longSlices = 0;
  private longestSliceMs = 0;
  private readonly runTurn = (): void => this.turn();

  constructor(setup: SchedulerSetup) {
    this.clock = setup.clock;
    this.executor = setup.executor;
    this.log = setup.log;
    this.options = { ...schedulerDefaults, ...setup.options };
    this.heartbeat = setup.heartbeat ?? new Int32Array(2);
    this.tellsWork = this.heartbeat.length > 1;
    this.running = setup.running;
    this.endTurn = setup.endTurn;
    this.slice = new Slice(setup.clock, this.options);
    this.limit = new LogLimit(setup.clock, 10);
    this.sliceUs = Math.round(this.options.sliceMs * 1000);
  }

  /** Puts an actor with work at the end of its queue; nothing when it is there already. */
  enqueue(actor: Schedulable): void {
    if (actor.isQueued) return;
    actor.isQueued = true;
    (actor.isInteractive ? this.interactive : this.batch).push(actor);
    this.requestTurn();
  }

  /** A turn will come, also when no actor is ready: its end flushes the links. */
  requestTurn(): void {
    // The end of this turn does all that a turn without slices would, and asks for the next one when actors are left.
    if (this.isTurnRequested || this.isInTurn) return;
    this.isTurnRequested = true;
    if (this.tellsWork) Atomics.store(this.heartbeat, 1, 1);
    this.executor.nextTurn(this.runTurn);
  }

  stats(): SchedulerStats {
    return {
      turns: this.turns,
      slices: this.slices,
      messages: this.messages,
      busyMs: this.busyUs / 1000,
      longSlices: this.longSlices,
      longestSliceMs: this.longestSliceMs,
      ready: this.interactive.size + this.batch.size,
      sliceUsBuckets: [...this.buckets],
    };
  }

  private turn(): void {
    this.isTurnRequested = false;
    this.isInTurn = true;
    try {
      this.serve();
      this.endTurn();
    } finally {
      this.isInTurn = false;
    }
    if (this.interactive.size + this.batch.size > 0) this.requestTurn();
    else if (this.tellsWork && !this.isTurnRequested) Atomics.store(this.heartbeat, 1, 0);
  }

  private serve(): void {
    this.turns += 1;
    Atomics.add(this.heartbeat, 0, 1);
    const startMs = this.clock.monotonicMs();
    this.slice.nowMs = startMs;
    do {
      const actor = this.pick();
      if (actor === undefined) break;
      this.running?.begin(actor.place);
      this.run(actor);
    } while (this.slice.nowMs - startMs < this.turnMsNow());
    this.running?.end();
  }

  /** One actor alone gets a slice, not a turn: whoever it keeps waiting is outside, at a port or behind a promise. */
  private turnMsNow(): number {
    return this.interactive.size + this.batch.size > 1 ? this.options.turnMs : this.options.sliceMs;
  }

  private run(actor: Schedulable): void {
    const { slice } = this;
    const startMs = slice.nowMs;
    slice.begin(actor.debtUs > -this.sliceUs);
    const isReady = actor.runSlice(slice);
    slice.nowMs = this.clock.monotonicMs();
    const elapsedMs = slice.nowMs - startMs;
    const elapsedUs = Math.round(elapsedMs * 1000);
    actor.debtUs += elapsedUs;
    actor.busyUs += elapsedUs;
    if (isReady) (actor.isInteractive ? this.interactive : this.batch).push(actor);
    else actor.isQueued = false;
    this.slices += 1;
    this.messages += slice.messages;
    this.busyUs += elapsedUs;
    const bucket = Math.min(32 - Math.clz32(elapsedUs), sliceBuckets - 1);
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
    if (elapsedMs > this.longestSliceMs) this.longestSliceMs = elapsedMs;
    if (elapsedMs > this.options.longSliceMs) this.reportLongSlice(actor, elapsedMs);
  }

  private reportLongSlice(actor: Schedulable, elapsedMs: number): void {
    this.longSlices += 1;
    if (this.limit.admit() < 0) return;
    const { kind, key } = actor.address;
    const fields = { kind, key, elapsedMs: Math.round(elapsedMs), messages: this.slice.messages };
    this.log.warn(fields, 'an actor held its thread for too long');
  }

  private pick(): Schedulable | undefined {
    const { interactive, batch } = this;
    if (interactive.size > 0 && (batch.size === 0 || this.served < interactiveShare)) {
      this.served += 1;
      return this.takeSolvent(interactive);
    }
    this.served = 0;
    return this.takeSolvent(batch);
  }

  /**
   * Each look at an actor grants it one slice of time; who still owes goes to the end. When a whole round found only
   * debtors, the rounds until the first of them is free are granted at once instead of being walked.
   */
  private takeSolvent(queue: Ring<Schedulable>): Schedulable | undefined {
    let skipped = 0;
    for (;;) {
      const actor = queue.shift();
      if (actor === undefined) return undefined;
      actor.debtUs = Math.max(actor.debtUs - this.sliceUs, -this.sliceUs);
      if (actor.debtUs < 0) return actor;
      if (queue.size === 0) {
        actor.debtUs %= this.sliceUs;
        actor.debtUs -= this.sliceUs;
        return actor;
      }
      queue.push(actor);
      skipped += 1;
      if (skipped === queue.size) {
        this.grantRounds(queue);
        skipped = 0;
      }
    }
  }

  private grantRounds(queue: Ring<Schedulable>): void {
    let least = Number.POSITIVE_INFINITY;
    for (let index = 0; index < queue.size; index += 1) least = Math.min(least, queue.at(index)?.debtUs ?? 0);
    const grantUs = Math.floor(least / this.sliceUs) * this.sliceUs;
    for (let index = 0; index < queue.size; index += 1) {
      const actor = queue.at(index);
      if (actor !== undefined) actor.debtUs -= grantUs;
    }
  }
}
