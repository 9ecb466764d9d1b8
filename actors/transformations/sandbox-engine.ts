// The port to whatever runs customers' JavaScript. An engine keeps the code from everything but its own events, and
// every call within limits; which engine it is makes no difference to a customer (one conformance suite for all).

import type { TransformItem, TransformOutcome } from './contract.ts';

export interface SandboxLimits {
  /** Of one call: CPU is what the code itself computes. */
  cpuMs: number;
  /** Of the code while it is loaded. */
  loadMs: number;
  /** Of one call, waiting for `fetch` included. */
  wallMs: number;
  memoryBytes: number;
  /** Characters of all an event becomes. */
  outputLength: number;
  /** Characters of `log` per call; what is beyond is dropped. */
  logLength: number;
}

export interface SandboxResponse {
  url: string;
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** What code may do to the outside, and the time its limits are measured by. */
export interface SandboxHost {
  monotonicMs(): number;
  /** CPU time of this thread; undefined where nobody tells it, and time by the wall counts. */
  cpuMs: (() => number) | undefined;
  /** Returns what cancels it. */
  after(ms: number, run: () => void): () => void;
  log(text: string): void;
  /** Undefined: `fetch` is refused. `options` is the JSON of what the code gave. */
  fetch: ((url: string, options: string) => Promise<SandboxResponse>) | undefined;
}

export interface SandboxProgram {
  /** Name of the file in stack traces. */
  name: string;
  code: string;
  /** By the name that code imports. */
  libraries: ReadonlyMap<string, string>;
  credentials: Readonly<Record<string, string>>;
}

/** `cpu`, `memory`, `crash`: the sandbox is spent, and a fresh one goes on with the next event. */
export type LimitHit = 'cpu' | 'wall' | 'memory' | 'crash';

export interface SandboxResult {
  outcomes: TransformOutcome[];
  hit: LimitHit | undefined;
  /** Other calls were under way when the limit was hit: nobody knows whose fault it was. */
  shared: boolean;
}

/** What became of the first of several events; those that are not in it were not begun. */
export interface ManyResult {
  outcomes: TransformOutcome[];
  /** Set: of all of them, and nobody knows whose fault it was. */
  hit: LimitHit | undefined;
  /** The event behind those in `outcomes` waits for something. */
  waiting: Promise<SandboxResult> | undefined;
}

export interface Sandbox {
  /** `batch`: the code takes all events of a chunk at once. */
  readonly mode: 'event' | 'batch';
  /** No further calls: it must be disposed and made anew. */
  readonly isSpent: boolean;
  /** One event, or in mode `batch` any number. At once unless the code waits for something. Never rejects. */
  call(items: readonly TransformItem[]): SandboxResult | Promise<SandboxResult>;
  /** Mode `event`: several events in one crossing, which together may compute for `cpuMs`. Never throws. */
  callMany(items: readonly TransformItem[], cpuMs: number): ManyResult;
  dispose(): void;
}

/** Code that cannot be run, whatever the event: told to the customer as it is. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';
  /** Of the events' failure. */
  readonly code: number;
  /** It was stopped while it was loaded: with more time it might have been. */
  readonly isLimit: boolean;

  constructor(message: string, code = 400, isLimit = false) {
    super(message);
    this.code = code;
    this.isLimit = isLimit;
  }
}

export interface SandboxEngine {
  readonly name: string;
  /** Rejects with ProgramError when the code does not load. */
  open(program: SandboxProgram, limits: SandboxLimits, host: SandboxHost): Promise<Sandbox>;
}
