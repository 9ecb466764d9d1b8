// The work of one transformation: takes chunks of events, runs them through the sandbox a few milliseconds at a time,
// and answers each chunk when all of its events have an outcome. What it does when events misbehave:
//
//   a limit is hit by one event        that event fails; a spent sandbox is made anew for the next
//   a limit is hit by several at once  each of them runs again, alone
//   the code does not load             every event fails with the reason
//   the code store is away             chunks are answered empty, to be asked again
//
// Transformations that behave share their threads. One that computes for too long, spends a sandbox, or needs far more
// than others becomes a suspect: chunks are answered with what is there, and the rest is to be asked for in the threads
// of suspects, where the limits of an event are those of the settings and not what its neighbours can bear. There
//
//   too much computing                 is followed by a pause, growing each time, so that suspects of the thread go on
//                                      and the machine has its time for others

import type { ActorContext, Replier } from '../../runtime/index.ts';
import { threadCpuClock } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import type { CodeStore } from './code-store.ts';
import {
  failed,
  type TransformChunk,
  type TransformItem,
  type TransformOutcome,
  type TransformPing,
  type TransformReply,
} from './contract.ts';
import {
  ProgramError,
  type Sandbox,
  type SandboxEngine,
  type SandboxHost,
  type SandboxResult,
} from './sandbox-engine.ts';

export type TransformationMessage =
  | TransformChunk
  | TransformPing
  | { kind: 'goOn' }
  | { kind: 'opened'; sandbox: Sandbox | undefined; problem: Error | undefined }
  | { kind: 'called'; chunk: Chunk; indexes: readonly number[]; result: SandboxResult | undefined };

export interface TransformationParts {
  settings: Settings['transformations'];
  engine: SandboxEngine;
  store: Pick<CodeStore, 'programOf'>;
  /** It runs in the threads of suspects. */
  isAmongSuspects: boolean;
  fetch: SandboxHost['fetch'];
  count(outcome: 'done' | 'filtered' | 'failed' | 'timed out', count: number): void;
}

/** A chunk under way. */
interface Chunk {
  readonly replier: Replier;
  readonly program: TransformChunk['program'];
  readonly items: readonly TransformItem[];
  readonly outcomes: (TransformOutcome | null)[];
  readonly beganMs: number;
  /** Items before this one have been called. */
  next: number;
  /** To be called one by one. */
  readonly alone: number[];
  inFlight: number;
}

const sliceMs = 4;
const inFlightMax = 32;
/** Events of one crossing into the sandbox: as many as fit a slice, by what they needed so far. */
const manyMax = 64;
const manyCharactersMax = 128 * 1024;
/** What one call may compute among neighbours, who wait for it. */
const patienceMs = 50;
/** Code is loaded once, and the first of a thread is loaded while WebAssembly itself is still being compiled. */
const loadMsMax = 1_000;
const loadPatienceMs = 150;
/** An event that needs this much on average takes its neighbours' thread for itself. */
const heavyMs = 5;
/** Events after which an average says something. */
const knownEvents = 20;
/** A chunk is answered after this long with what there is, so that whoever asked knows it is worked on. */
const chunkMsMax = 20_000;
const pauseMsMin = 1_000;
/** So long without reaching the limit takes one doubling back. */
const forgiveMs = 60_000;
const storeRetryMsMin = 500;
const storeRetryMsMax = 30_000;

export class Transformation {
  readonly #context: ActorContext<TransformationMessage>;
  readonly #parts: TransformationParts;
  readonly #chunks: Chunk[] = [];
  #sandbox: Sandbox | undefined;
  #isOpening = false;
  #isGoingOn = false;
  /** Set: no event can be run, now or later. */
  #problem: ProgramError | undefined;
  #storeFailures = 0;
  #burns = 0;
  #lastBurnMs = 0;
  #pausedUntilMs = 0;
  /** Its events wait for something: they are called one by one, so that many can wait at the same time. */
  #isWaiting = false;
  /** Of one event; 0: nothing is known yet. */
  #averageMs = 0;
  #eventsCalled = 0;
  #isSuspect = false;
  readonly #cpuMs = threadCpuClock();

  constructor(context: ActorContext<TransformationMessage>, parts: TransformationParts) {
    this.#context = context;
    this.#parts = parts;
  }

  receive(message: TransformationMessage): void {
    switch (message.kind) {
      case 'transformPing':
        this.#context.reply(true);
        return;
      case 'transformChunk':
        this.#chunks.push({
          replier: this.#context.replier(),
          program: message.program,
          items: message.items,
          outcomes: message.items.map(() => null),
          beganMs: this.#nowMs(),
          next: 0,
          alone: [],
          inFlight: 0,
        });
        break;
      case 'goOn':
        this.#isGoingOn = false;
        break;
      case 'opened':
        this.#opened(message.sandbox, message.problem);
        break;
      case 'called':
        message.chunk.inFlight -= 1;
        if (message.result !== undefined) this.#take(message.chunk, message.indexes, message.result);
        break;
    }
    this.#work();
  }

  stop(): void {
    this.#sandbox?.dispose();
  }

  #work(): void {
    const startedMs = this.#nowMs();
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      if (this.#nowMs() - startedMs > sliceMs) {
        this.#goOnLater();
        return;
      }
      if (!this.#workOn(chunk)) return;
    }
  }

  /** False: nothing can be done until a message comes. */
  #workOn(chunk: Chunk): boolean {
    if (this.#problem !== undefined) this.#fail(chunk, this.#problem.message, this.#problem.code);
    const isFinished = chunk.next >= chunk.items.length && chunk.alone.length === 0;
    if (isFinished || this.#mustAnswer(chunk)) {
      if (chunk.inFlight > 0) return false;
      this.#answer(chunk);
      return true;
    }
    if (this.#sandbox?.isSpent === true && chunk.inFlight === 0) {
      this.#sandbox.dispose();
      this.#sandbox = undefined;
    }
    if (this.#sandbox === undefined) {
      this.#open(chunk);
      return false;
    }
    if (this.#sandbox.isSpent || chunk.inFlight >= inFlightMax) return false;
    return this.#callNext(chunk, this.#sandbox);
  }

  #mustAnswer(chunk: Chunk): boolean {
    if (this.#isSuspect) return true;
    const isPaused = this.#pausedUntilMs > this.#nowMs();
    if (isPaused && this.#parts.settings.whilePaused === 'fail') {
      this.#fail(chunk, 'the transformation is paused, because it has computed for too long too often');
    }
    return isPaused || this.#nowMs() - chunk.beganMs > chunkMsMax;
  }

  #callNext(chunk: Chunk, sandbox: Sandbox): boolean {
    const indexes: number[] = [];
    if (chunk.next < chunk.items.length) {
      const many = sandbox.mode === 'batch' ? chunk.items.length : this.#manyOf(chunk);
      if (sandbox.mode === 'event' && many > 1) return this.#callMany(chunk, sandbox, many);
      const end = Math.min(chunk.items.length, chunk.next + many);
      while (chunk.next < end) indexes.push(chunk.next++);
    } else {
      // One that may be to blame is given nobody else to take along.
      if (chunk.inFlight > 0) return false;
      indexes.push(chunk.alone.shift() ?? 0);
    }
    const beganMs = this.#computedMs();
    const called = sandbox.call(indexes.flatMap((index) => chunk.items[index] ?? []));
    this.#learn(indexes.length, this.#computedMs() - beganMs);
    if (called instanceof Promise) this.#await(chunk, indexes, called);
    else this.#take(chunk, indexes, called);
    return true;
  }

  #callMany(chunk: Chunk, sandbox: Sandbox, many: number): boolean {
    const first = chunk.next;
    const items = chunk.items.slice(first, first + many);
    const beganMs = this.#computedMs();
    const { outcomes, hit, waiting } = sandbox.callMany(items, Math.min(patienceMs, this.#parts.settings.cpuMsMax));
    const begun = outcomes.length + (waiting === undefined ? 0 : 1);
    const indexes = items.map((_item, position) => first + position);
    chunk.next += hit === undefined ? begun : items.length;
    this.#learn(begun, this.#computedMs() - beganMs);
    this.#take(chunk, hit === undefined ? indexes.slice(0, outcomes.length) : indexes, { outcomes, hit, shared: true });
    if (waiting !== undefined) this.#await(chunk, [first + outcomes.length], waiting);
    // An answer for none of them would be called for ever.
    else if (begun === 0) this.#take(chunk, [chunk.next++], { outcomes: [], hit: undefined, shared: false });
    return true;
  }

  #await(chunk: Chunk, indexes: readonly number[], called: Promise<SandboxResult>): void {
    this.#isWaiting = true;
    chunk.inFlight += 1;
    this.#context.pipeToSelf(called, (outcome) => ({
      kind: 'called',
      chunk,
      indexes,
      result: outcome.ok ? outcome.value : undefined,
    }));
  }

  #manyOf(chunk: Chunk): number {
    if (this.#isWaiting || chunk.inFlight > 0) return 1;
    const fit = this.#averageMs === 0 ? 1 : Math.floor(sliceMs / this.#averageMs);
    const most = Math.min(manyMax, fit, chunk.items.length - chunk.next);
    let characters = 0;
    for (let many = 0; many < most; many += 1) {
      characters += chunk.items[chunk.next + many]?.event.length ?? 0;
      if (characters > manyCharactersMax) return Math.max(1, many);
    }
    return Math.max(1, most);
  }

  /** What its events need, the newer ones more than the older. */
  #learn(events: number, computedMs: number): void {
    if (events === 0) return;
    const ofOne = computedMs / events;
    this.#averageMs = this.#averageMs === 0 ? ofOne : this.#averageMs * 0.8 + ofOne * 0.2;
    this.#eventsCalled += events;
    const isHeavy = this.#averageMs > heavyMs && this.#eventsCalled > knownEvents;
    if (isHeavy || computedMs > patienceMs) this.#suspect(`an event computes for ${ofOne.toFixed(1)} ms`);
  }

  #suspect(reason: string): void {
    if (this.#parts.isAmongSuspects || this.#isSuspect) return;
    this.#isSuspect = true;
    this.#context.log.info(
      { transformation: this.#context.key, reason },
      'a transformation goes on in the threads of suspects',
    );
  }

  #take(chunk: Chunk, indexes: readonly number[], { outcomes, hit, shared }: SandboxResult): void {
    const isUnsure = hit !== undefined && (shared || indexes.length > 1);
    if (hit !== undefined && hit !== 'wall') this.#suspect(`an event met its limit (${hit})`);
    // Whoever is to blame is told where no neighbour has to wait for it.
    if (isUnsure || (hit !== undefined && this.#isSuspect)) {
      chunk.alone.push(...indexes);
      return;
    }
    if (hit === 'cpu') this.#burn();
    for (const [position, index] of indexes.entries()) {
      const outcome = outcomes[position] ?? failed('the sandbox gave no answer');
      chunk.outcomes[index] = outcome;
      const verdict = outcome.failure !== undefined ? 'failed' : outcome.outputs.length === 0 ? 'filtered' : 'done';
      this.#parts.count(hit === 'cpu' ? 'timed out' : verdict, 1);
    }
  }

  #burn(): void {
    const nowMs = this.#nowMs();
    const forgiven = Math.floor((nowMs - this.#lastBurnMs) / forgiveMs);
    this.#burns = Math.max(0, this.#burns - forgiven) + 1;
    this.#lastBurnMs = nowMs;
    const pauseMs = Math.min(this.#parts.settings.pauseMsMax, pauseMsMin * 2 ** Math.min(30, this.#burns - 1));
    this.#pausedUntilMs = nowMs + pauseMs;
    this.#context.log.warn({ transformation: this.#context.key, pauseMs }, 'a transformation computed for too long');
  }

  #fail(chunk: Chunk, reason: string, code?: number): void {
    for (const [index, outcome] of chunk.outcomes.entries()) {
      if (outcome === null) chunk.outcomes[index] = failed(reason, code);
    }
    chunk.next = chunk.items.length;
    chunk.alone.length = 0;
  }

  #answer(chunk: Chunk): void {
    this.#chunks.shift();
    const reply: TransformReply = {
      outcomes: chunk.outcomes,
      retryMs: Math.max(0, Math.ceil(this.#pausedUntilMs - this.#nowMs())),
      isSuspect: this.#isSuspect,
    };
    chunk.replier.reply(reply);
  }

  #open({ program }: Chunk): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    this.#context.pipeToSelf(this.#openProgram(program), (outcome) => ({
      kind: 'opened',
      sandbox: outcome.ok ? outcome.value : undefined,
      problem: outcome.ok ? undefined : outcome.error,
    }));
  }

  async #openProgram(program: TransformChunk['program']): Promise<Sandbox> {
    const { engine, store, settings, fetch, isAmongSuspects } = this.#parts;
    const { clock, log, key } = this.#context;
    const limits = {
      cpuMs: isAmongSuspects ? settings.cpuMsMax : Math.min(patienceMs, settings.cpuMsMax),
      loadMs: isAmongSuspects ? loadMsMax : loadPatienceMs,
      wallMs: settings.wallMsMax,
      memoryBytes: settings.memoryBytesMax,
      outputLength: settings.outputBytesMax,
      logLength: settings.logBytesMax,
    };
    return engine.open(await store.programOf(program), limits, {
      monotonicMs: () => clock.monotonicMs(),
      cpuMs: this.#cpuMs,
      after: (ms, run) => {
        const timer = clock.setTimer(ms, run);
        return () => timer.cancel();
      },
      log: (text) => log.debug({ transformation: key, text }, 'a transformation logged'),
      fetch,
    });
  }

  #opened(sandbox: Sandbox | undefined, problem: Error | undefined): void {
    this.#isOpening = false;
    this.#sandbox = sandbox;
    if (problem instanceof ProgramError && problem.isLimit && !this.#parts.isAmongSuspects) {
      this.#suspect(problem.message);
      return;
    }
    if (problem instanceof ProgramError) {
      this.#problem = problem;
      return;
    }
    if (problem === undefined) {
      this.#storeFailures = 0;
      return;
    }
    const retryMs = Math.min(storeRetryMsMax, storeRetryMsMin * 2 ** Math.min(20, this.#storeFailures));
    this.#storeFailures += 1;
    this.#context.log.warn(
      { transformation: this.#context.key, reason: problem.message, retryMs },
      'the code of a transformation cannot be had yet; its events wait',
    );
    for (const chunk of this.#chunks.splice(0)) {
      const reply: TransformReply = { outcomes: chunk.outcomes, retryMs, isSuspect: false };
      chunk.replier.reply(reply);
    }
  }

  #goOnLater(): void {
    if (this.#isGoingOn) return;
    this.#isGoingOn = true;
    this.#context.pipeToSelf(Promise.resolve(), () => ({ kind: 'goOn' }));
  }

  /** By the thread's own time where it can be had. */
  #computedMs(): number {
    return this.#cpuMs?.() ?? this.#nowMs();
  }

  #nowMs(): number {
    return this.#context.clock.monotonicMs();
  }
}
