// The sandbox that works everywhere: QuickJS compiled to WebAssembly. Every program has a WebAssembly instance of its
// own, so that not even a fault of the interpreter reaches another customer's memory, and putting one away frees it.
// The compiled module is loaded with the first program: a thread without transformations pays nothing.
//
// A call: called → answered at once, or pending → settled by a turn of promises → answered. Limits hit while several
// calls are pending end all of them, marked as shared.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type {
  QuickJSContext,
  QuickJSHandle,
  QuickJSRuntime,
  QuickJSSyncVariant,
  QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import type { TransformItem } from './contract.ts';
import { readAnswer } from './sandbox-answer.ts';
import {
  type LimitHit,
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
/** Code is loaded once, and the first of a thread is loaded while WebAssembly itself is still being compiled. */
const loadMsMax = 1_000;
const wasmPackage = '@jitl/quickjs-wasmfile-release-sync';

/** Of every Node; only the types of browsers describe it. */
declare const WebAssembly: { compile(bytes: Uint8Array): Promise<never> };

let instances: Promise<() => Promise<QuickJSWASMModule>> | undefined;

/** Compiled once per thread, instantiated per program. */
async function loadQuickJs(): Promise<() => Promise<QuickJSWASMModule>> {
  const [core, variant] = await Promise.all([
    import('quickjs-emscripten-core'),
    import('@jitl/quickjs-wasmfile-release-sync'),
  ]);
  const file = createRequire(import.meta.url).resolve(`${wasmPackage}/wasm`);
  const wasmModule = await WebAssembly.compile(new Uint8Array(await readFile(file)));
  // Under its types the package is CommonJS, whose default export is one level deeper than where Node finds it.
  const found = variant.default;
  const base = ('default' in found ? found.default : found) as QuickJSSyncVariant;
  const compiled = core.newVariant(base, { wasmModule });
  return () => core.newQuickJSWASMModuleFromVariant(compiled);
}

export const quickJsEngine: SandboxEngine = {
  name: 'quickjs',
  async open(program, limits, host) {
    instances ??= loadQuickJs();
    const instance = await (await instances)();
    return new QuickJsSandbox(instance, program, limits, host);
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
  readonly #pending = new Set<PendingCall>();
  #deadlineMs = 0;
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
    this.#runtime.setInterruptHandler(() => host.monotonicMs() > this.#deadlineMs);
    this.#runtime.setModuleLoader((name) => {
      const code = program.libraries.get(name);
      return code ?? { error: new Error(`there is no library ${JSON.stringify(name)}`) };
    });
    this.#context = this.#runtime.newContext();
    const prelude = this.#openPrelude(program);
    this.#describe = this.#context.getProp(prelude, 'describe');
    this.mode = this.#load(prelude, program);
    this.#run = this.#context.getProp(prelude, this.mode === 'event' ? 'runEvent' : 'runBatch');
    prelude.dispose();
  }

  get isSpent(): boolean {
    return this.#isSpent;
  }

  call(items: readonly TransformItem[]): SandboxResult | Promise<SandboxResult> {
    const context = this.#context;
    const texts =
      this.mode === 'event'
        ? [items[0]?.event ?? '', items[0]?.metadata ?? '']
        : [`[${items.map(({ event }) => event).join(',')}]`, `[${items.map(({ metadata }) => metadata).join(',')}]`];
    this.#begin();
    try {
      const handles = texts.map((text) => context.newString(text));
      const result = context.callFunction(this.#run, context.undefined, ...handles);
      for (const handle of handles) handle.dispose();
      if (result.error !== undefined) return this.#spend(items, this.#limitOf(result.error));
      if (context.typeof(result.value) === 'string') {
        const text = context.getString(result.value);
        result.value.dispose();
        return this.#answered(items, text);
      }
      return this.#wait(items, result.value);
    } catch {
      // What the host throws amid a call leaves the interpreter in a state nobody knows.
      return this.#spend(items, 'crash');
    }
  }

  /** Nothing is freed object by object: an interpreter that was stopped amid its work refuses that. All goes at once. */
  dispose(): void {
    this.#isSpent = true;
    for (const call of [...this.#pending]) this.#finish(call, this.#limited(call.items, 'crash', false));
  }

  #begin(cpuMs = this.#limits.cpuMs): void {
    this.#deadlineMs = this.#host.monotonicMs() + cpuMs;
    this.#logLengthLeft = this.#limits.logLength;
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
    this.#begin(loadMsMax);
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
      return new ProgramError(`the code does not load: it computed for more than ${loadMsMax} ms`);
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
    this.#deadlineMs = this.#host.monotonicMs() + this.#limits.cpuMs;
    const jobs = this.#runtime.executePendingJobs();
    if (jobs.error !== undefined) {
      this.#endAll(this.#limitOf(jobs.error));
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
    // Both can be caught by code; what it has done by then is unknown.
    if (text.startsWith('InternalError: out of memory', 1)) return this.#spend(items, 'memory');
    if (text.startsWith('InternalError: interrupted', 1)) return this.#spend(items, 'cpu');
    return { outcomes: readAnswer(text, items.length), hit: undefined, shared: false };
  }

  #limited(items: readonly TransformItem[], hit: LimitHit, shared: boolean): SandboxResult {
    const reason = limitText(hit, this.#limits);
    return { outcomes: readAnswer(`B${reason}`, items.length), hit, shared };
  }

  #limitOf(error: QuickJSHandle): LimitHit {
    if (this.#host.monotonicMs() > this.#deadlineMs) return 'cpu';
    const name: unknown = error.alive ? this.#context.dump(error) : undefined;
    return name === null || String(name).includes('memory') ? 'memory' : 'crash';
  }
}

function limitText(hit: LimitHit, limits: SandboxLimits): string {
  if (hit === 'cpu') return `Script execution timed out: it computed for more than ${limits.cpuMs} ms`;
  if (hit === 'wall') return `its promise was not settled within ${limits.wallMs} ms, or can never be`;
  if (hit === 'memory') return `it needed more than ${limits.memoryBytes} bytes of memory`;
  return 'the sandbox broke under it';
}
