// The sandbox that works everywhere: QuickJS compiled to WebAssembly. Every program has a WebAssembly instance of its
// own, so that not even a fault of the interpreter reaches another customer's memory, and putting one away frees it.
// The compiled module is loaded with the first program: a thread without transformations pays nothing.
//
// A call: called → answered at once, or pending → settled by a turn of promises → answered. Limits hit while several
// calls are pending end all of them, marked as shared.

import type { QuickJSContext, QuickJSHandle, QuickJSRuntime, QuickJSWASMModule } from 'quickjs-emscripten-core';
import type { TransformItem } from './contract.ts';
import { newQuickJs } from './quickjs-module.ts';
import { readAnswer, readAnswers } from './sandbox-answer.ts';
import {
  type LimitHit,
  type ManyResult,
  ProgramError,
  type Sandbox,
  type SandboxEngine,
  type SandboxHost,
  type SandboxLimits,
  type SandboxProgram,
  type SandboxResult,
} from './sandbox-engine.ts';
import { preludeSource } from './sandbox-prelude.ts';

/** More and a script that recurses overflows the host's stack before its own. */
const stackBytesMax = 256 * 1024;
export const quickJsEngine: SandboxEngine = {
  name: 'quickjs',
  async open(program, limits, host) {
    return new QuickJsSandbox(await newQuickJs(), program, limits, host);
  },
};

interface PendingCall {
  promise: QuickJSHandle;
  items: readonly TransformItem[];
  answer(result: SandboxResult): void;
  cancelTimer(): void;
}

class QuickJsSandbox implements Sandbox {
  readonly mode: 'event' | 'batch';
  readonly #limits: SandboxLimits;
  readonly #host: SandboxHost;
  readonly #runtime: QuickJSRuntime;
  readonly #context: QuickJSContext;
  readonly #run: QuickJSHandle;
  readonly #describe: QuickJSHandle;
  readonly #runEvents: QuickJSHandle;
  readonly #takeAnswers: QuickJSHandle;
  readonly #pending = new Set<PendingCall>();
  #deadlineMs = 0;
  #cpuMsMax = 0;
  #cpuBeganMs = 0;
  #wallEndMs = 0;
  /** The interpreter was told to stop; what it gives after that means nothing. */
  #isInterrupted = false;
  #logLengthLeft = 0;
  /** Answers of the host that code still waits for. */
  #outstanding = 0;
  #isSpent = false;

  constructor(instance: QuickJSWASMModule, program: SandboxProgram, limits: SandboxLimits, host: SandboxHost) {
    this.#limits = limits;
    this.#host = host;
    this.#runtime = instance.newRuntime();
    this.#runtime.setMemoryLimit(limits.memoryBytes);
    this.#runtime.setMaxStackSize(stackBytesMax);
    this.#runtime.setInterruptHandler(() => {
      this.#isInterrupted ||= this.#isOverdue();
      return this.#isInterrupted;
    });
    this.#runtime.setModuleLoader((name) => {
      const code = program.libraries.get(name);
      return code ?? { error: new Error(`there is no library ${JSON.stringify(name)}`) };
    });
    this.#context = this.#runtime.newContext();
    const prelude = this.#openPrelude(program);
    this.#describe = this.#context.getProp(prelude, 'describe');
    this.mode = this.#load(prelude, program);
    this.#run = this.#context.getProp(prelude, this.mode === 'event' ? 'runEvent' : 'runBatch');
    this.#runEvents = this.#context.getProp(prelude, 'runEvents');
    this.#takeAnswers = this.#context.getProp(prelude, 'takeAnswers');
    prelude.dispose();
  }

  get isSpent(): boolean {
    return this.#isSpent;
  }

  call(items: readonly TransformItem[]): SandboxResult | Promise<SandboxResult> {
    const texts = this.mode === 'event' ? [items[0]?.event ?? '', items[0]?.metadata ?? ''] : listsOf(items);
    this.#begin();
    try {
      const answer = this.#enter(this.#run, texts);
      if (typeof answer === 'string') return this.#answered(items, answer);
      return answer.hit === undefined ? this.#wait(items, answer.promise) : this.#spend(items, answer.hit);
    } catch {
      // What the host throws amid a call leaves the interpreter in a state nobody knows.
      return this.#spend(items, 'crash');
    }
  }

  callMany(items: readonly TransformItem[], cpuMs: number): ManyResult {
    this.#begin(cpuMs, items.length);
    const all = ({ outcomes, hit }: SandboxResult): ManyResult => ({ outcomes, hit, waiting: undefined });
    try {
      const answer = this.#enter(this.#runEvents, listsOf(items));
      if (typeof answer === 'string') return this.#manyAnswered(items, answer);
      if (answer.hit !== undefined) return all(this.#spend(items, answer.hit));
      const before = this.#enter(this.#takeAnswers, []);
      const outcomes = typeof before === 'string' ? readAnswers(before) : [];
      const waiting = this.#wait(items.slice(outcomes.length, outcomes.length + 1), answer.promise);
      return { outcomes, hit: undefined, waiting: Promise.resolve(waiting) };
    } catch {
      return all(this.#spend(items, 'crash'));
    }
  }

  /** A limit that was hit amid them: what came before it counts, and whoever comes next is called anew. */
  #manyAnswered(items: readonly TransformItem[], text: string): ManyResult {
    const outcomes = readAnswers(text);
    const spender = outcomes.findIndex(
      ({ failure }) => failure !== undefined && spendingLimit(failure.reason) !== undefined,
    );
    if (spender < 0) return { outcomes, hit: undefined, waiting: undefined };
    const hit = spendingLimit(outcomes[spender]?.failure?.reason ?? '') ?? 'crash';
    const spent = this.#spend(items, hit);
    if (spender === 0) return { outcomes: spent.outcomes, hit, waiting: undefined };
    return { outcomes: outcomes.slice(0, spender), hit: undefined, waiting: undefined };
  }

  /** The text it gives; otherwise its promise, or the limit that it hit. */
  #enter(
    entry: QuickJSHandle,
    texts: readonly string[],
  ): string | { hit: undefined; promise: QuickJSHandle } | { hit: LimitHit } {
    const context = this.#context;
    const handles = texts.map((text) => context.newString(text));
    const result = context.callFunction(entry, context.undefined, ...handles);
    for (const handle of handles) handle.dispose();
    if (result.error !== undefined) return { hit: this.#limitOf(result.error) };
    if (this.#isInterrupted) return { hit: 'cpu' };
    if (context.typeof(result.value) !== 'string') return { hit: undefined, promise: result.value };
    const text = context.getString(result.value);
    result.value.dispose();
    return text;
  }

  /** Nothing is freed object by object: an interpreter that was stopped amid its work refuses that. All goes at once. */
  dispose(): void {
    this.#isSpent = true;
    for (const call of [...this.#pending]) this.#finish(call, this.#limited(call.items, 'crash', false));
  }

  #begin(cpuMs = this.#limits.cpuMs, events = 1): void {
    this.#limitCpu(cpuMs);
    this.#logLengthLeft = this.#limits.logLength * events;
  }

  #limitCpu(cpuMs: number): void {
    const nowMs = this.#host.monotonicMs();
    this.#deadlineMs = nowMs + cpuMs;
    this.#cpuMsMax = cpuMs;
    this.#isInterrupted = false;
    this.#cpuBeganMs = this.#host.cpuMs?.() ?? 0;
    this.#wallEndMs = nowMs + Math.max(cpuMs, this.#limits.wallMs);
  }

  /** Time by the wall may be the neighbours': what it has not computed itself it may still compute. */
  #isOverdue(): boolean {
    const nowMs = this.#host.monotonicMs();
    if (nowMs <= this.#deadlineMs) return false;
    const computedMs = this.#host.cpuMs?.();
    if (computedMs === undefined || nowMs > this.#wallEndMs) return true;
    const leftMs = this.#cpuMsMax - (computedMs - this.#cpuBeganMs);
    if (leftMs > 0) this.#deadlineMs = nowMs + leftMs;
    return leftMs <= 0;
  }

  #openPrelude(program: SandboxProgram): QuickJSHandle {
    const context = this.#context;
    // Ours, and it ends: a busy machine must not stop it half-way.
    this.#begin(Number.POSITIVE_INFINITY);
    const make = context.unwrapResult(context.evalCode(preludeSource, '<prelude>'));
    const given = [
      context.newFunction('hostLog', (text) => this.#log(context.getString(text))),
      context.newFunction('hostFetch', (url, options) =>
        this.#fetch(context.getString(url), context.getString(options)),
      ),
      context.newString(JSON.stringify(program.credentials)),
      context.newNumber(this.#limits.outputLength),
    ];
    const prelude = context.unwrapResult(context.callFunction(make, context.undefined, ...given));
    for (const handle of [make, ...given]) handle.dispose();
    return prelude;
  }

  #load(prelude: QuickJSHandle, program: SandboxProgram): 'event' | 'batch' {
    const context = this.#context;
    this.#begin(this.#limits.loadMs);
    const result = context.evalCode(program.code, program.name, { type: 'module' });
    if (result.error !== undefined) throw this.#programError(result.error);
    let exports = result.value;
    // Modules that await at their top come as a promise.
    if (context.typeof(context.getProp(exports, 'then')) === 'function') {
      this.#runtime.executePendingJobs();
      const state = context.getPromiseState(exports);
      if (state.type === 'rejected') throw this.#programError(state.error);
      if (state.type === 'pending') {
        this.dispose();
        throw new ProgramError('the code waits for something while it loads; only its functions may');
      }
      exports = state.value;
    }
    const load = context.getProp(prelude, 'load');
    const mode = context.unwrapResult(context.callFunction(load, context.undefined, exports));
    const text = context.getString(mode);
    for (const handle of [exports, load, mode]) handle.dispose();
    if (text === 'event' || text === 'batch') return text;
    this.dispose();
    throw new ProgramError('Expected one of transformEvent, transformBatch to be exported');
  }

  #programError(error: QuickJSHandle): ProgramError {
    const context = this.#context;
    this.#begin();
    const text = context.callFunction(this.#describe, context.undefined, error);
    const reason = text.error === undefined ? context.getString(text.value) : 'it took too long or too much memory';
    this.dispose();
    if (reason.startsWith('InternalError: interrupted')) {
      const { loadMs } = this.#limits;
      return new ProgramError(`the code does not load: it computed for more than ${loadMs} ms`, undefined, true);
    }
    return new ProgramError(`the code does not load: ${reason}`);
  }

  #log(text: string): void {
    if (this.#logLengthLeft <= 0) return;
    this.#host.log(text.slice(0, this.#logLengthLeft));
    this.#logLengthLeft -= text.length;
  }

  #fetch(url: string, options: string): QuickJSHandle {
    const context = this.#context;
    const deferred = context.newPromise();
    const fetch = this.#host.fetch;
    const fetched = fetch === undefined ? Promise.reject(new Error('fetch is not available')) : fetch(url, options);
    this.#outstanding += 1;
    const settle = (answer: object): void => {
      this.#outstanding -= 1;
      if (this.#isSpent) return;
      const text = context.newString(JSON.stringify(answer));
      deferred.resolve(text);
      text.dispose();
      this.#turn();
    };
    fetched.then(settle, (error: unknown) =>
      settle({ error: error instanceof Error ? error.message : 'the request failed' }),
    );
    return deferred.handle;
  }

  /** The code gave a promise. Promises that need nothing from outside are settled at once. */
  #wait(items: readonly TransformItem[], promise: QuickJSHandle): SandboxResult | Promise<SandboxResult> {
    let settled: SandboxResult | undefined;
    let answer = (result: SandboxResult): void => {
      settled = result;
    };
    const call: PendingCall = { promise, items, answer: (result) => answer(result), cancelTimer: () => {} };
    this.#pending.add(call);
    this.#turn();
    if (settled !== undefined) return settled;
    call.cancelTimer = this.#host.after(this.#limits.wallMs, () => {
      this.#finish(call, this.#limited(items, 'wall', false));
    });
    return new Promise((resolve) => {
      answer = resolve;
    });
  }

  /** Runs the promises that can go on, and answers the calls that are settled by it. */
  #turn(): void {
    this.#limitCpu(this.#limits.cpuMs);
    const jobs = this.#runtime.executePendingJobs();
    if (jobs.error !== undefined || this.#isInterrupted) {
      this.#endAll(jobs.error === undefined ? 'cpu' : this.#limitOf(jobs.error));
      return;
    }
    for (const call of [...this.#pending]) {
      const state = this.#context.getPromiseState(call.promise);
      if (state.type === 'fulfilled') {
        const text = this.#context.getString(state.value);
        state.value.dispose();
        // It is settled before it is judged: a verdict that spends the sandbox is about the others, too.
        this.#pending.delete(call);
        const result = this.#answered(call.items, text);
        this.#pending.add(call);
        this.#finish(call, result);
      } else if (state.type === 'rejected') {
        state.error.dispose();
        this.#finish(call, this.#limited(call.items, 'crash', false));
      } else if (this.#outstanding === 0) {
        this.#finish(call, this.#limited(call.items, 'wall', false));
      }
    }
  }

  #endAll(hit: LimitHit): void {
    this.#isSpent = true;
    const shared = this.#pending.size > 1;
    for (const call of [...this.#pending]) this.#finish(call, this.#limited(call.items, hit, shared));
  }

  #finish(call: PendingCall, result: SandboxResult): void {
    if (!this.#pending.delete(call)) return;
    call.cancelTimer();
    if (call.promise.alive) call.promise.dispose();
    call.answer(result);
  }

  /** This call hit a limit; the others that are pending cannot be gone on with, but are not to blame. */
  #spend(items: readonly TransformItem[], hit: LimitHit): SandboxResult {
    this.#isSpent = true;
    for (const call of [...this.#pending]) this.#finish(call, this.#limited(call.items, hit, true));
    return this.#limited(items, hit, false);
  }

  #answered(items: readonly TransformItem[], text: string): SandboxResult {
    const hit = spendingLimit(text.slice(1));
    if (hit !== undefined) return this.#spend(items, hit);
    return { outcomes: readAnswer(text, items.length), hit: undefined, shared: false };
  }

  #limited(items: readonly TransformItem[], hit: LimitHit, shared: boolean): SandboxResult {
    const reason = limitText(hit, this.#limits);
    return { outcomes: readAnswer(`B${reason}`, items.length), hit, shared };
  }

  #limitOf(error: QuickJSHandle): LimitHit {
    if (this.#isInterrupted) return 'cpu';
    const name: unknown = error.alive ? this.#context.dump(error) : undefined;
    return name === null || String(name).includes('memory') ? 'memory' : 'crash';
  }
}

/** Both can be caught by code; what it has done by then is unknown. */
function spendingLimit(reason: string): LimitHit | undefined {
  if (reason.startsWith('InternalError: out of memory')) return 'memory';
  return reason.startsWith('InternalError: interrupted') ? 'cpu' : undefined;
}

function listsOf(items: readonly TransformItem[]): string[] {
  return [`[${items.map(({ event }) => event).join(',')}]`, `[${items.map(({ metadata }) => metadata).join(',')}]`];
}

function limitText(hit: LimitHit, limits: SandboxLimits): string {
  if (hit === 'cpu') return `Script execution timed out: it computed for more than ${limits.cpuMs} ms`;
  if (hit === 'wall') return `its promise was not settled within ${limits.wallMs} ms, or can never be`;
  if (hit === 'memory') return `it needed more than ${limits.memoryBytes} bytes of memory`;
  return 'the sandbox broke under it';
}
