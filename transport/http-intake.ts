// What both HTTP engines share: the count of requests in flight, the budget of body bytes, the refusal of new
// requests during a drain, and the gathering of a body under its limits.

import { strict as assert } from 'node:assert';
import { TransportError } from './errors.ts';
import type { HttpHeaders } from './http-server-contract.ts';

export const emptyBody: Buffer = Buffer.alloc(0);
export const noHeaders: ReadonlyMap<string, string> = new Map();
export const overloadedBody = 'Service Unavailable\n';
export const lateBody = 'request timeout\n';
export const failedBody = 'Internal Server Error\n';
export const plainTextHeaders: HttpHeaders = Object.freeze({
  'Content-Type': 'text/plain; charset=utf-8',
  'X-Content-Type-Options': 'nosniff',
});
export const lateHeaders: HttpHeaders = Object.freeze({ ...plainTextHeaders, Connection: 'close' });
export const overloadedHeaders: HttpHeaders = Object.freeze({ ...plainTextHeaders, 'Retry-After': '1' });

/** Turns the error of a failed `listen` into one an operator can act on: PORT_IN_USE or LISTEN_FAILED. */
export function toListenError(cause: NodeJS.ErrnoException, host: string, port: number): TransportError {
  const data = { host, port };
  if (cause.code === 'EADDRINUSE') {
    const message = `expected ${host}:${port} to be free, got a port in use`;
    return new TransportError('PORT_IN_USE', message, { retryable: true, data, cause });
  }
  const message = `expected to listen on ${host}:${port}, got ${cause.code ?? cause.message}`;
  return new TransportError('LISTEN_FAILED', message, { data, cause });
}

export interface IntakeLimits {
  bodyBytesMax: number;
  bodyBytesInFlightMax: number;
  requestsInFlightMax: number;
}

/** Book-keeping of one listener. `enter` and `leave` come in pairs, once per accepted request. */
export class HttpIntake {
  readonly #limits: IntakeLimits;
  #inFlight = 0;
  #bodyBytes = 0;
  #refusing = false;
  #idleWaiters: (() => void)[] = [];

  constructor(limits: IntakeLimits) {
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get refusing(): boolean {
    return this.#refusing;
  }

  get full(): boolean {
    return this.#inFlight >= this.#limits.requestsInFlightMax;
  }

  get bodyBytesMax(): number {
    return this.#limits.bodyBytesMax;
  }

  refuse(): void {
    this.#refusing = true;
  }

  enter(): void {
    this.#inFlight += 1;
  }

  leave(): void {
    this.#inFlight -= 1;
    assert(this.#inFlight >= 0, 'expected every request to leave once');
    if (this.#inFlight > 0) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const wake of waiters) wake();
  }

  /** False when the budget is spent. */
  holdBytes(bytes: number): boolean {
    if (this.#bodyBytes + bytes > this.#limits.bodyBytesInFlightMax) return false;
    this.#bodyBytes += bytes;
    return true;
  }

  releaseBytes(bytes: number): void {
    this.#bodyBytes -= bytes;
  }

  idle(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }
}

export type BodyVerdict = 'more' | 'tooLarge' | 'overBudget';

/** Gathers one body. Memory never exceeds the limits: what does not fit is dropped together with what came before. */
export class BodyReader {
  readonly #intake: HttpIntake;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(intake: HttpIntake) {
    this.#intake = intake;
  }

  /** `chunk` must stay valid: engines that reuse their buffers pass a copy. */
  add(chunk: Buffer): BodyVerdict {
    const verdict = this.admit(chunk.byteLength);
    if (verdict === 'more') this.#chunks.push(chunk);
    return verdict;
  }

  /** Decides about `bytes` more before anything is copied. */
  admit(bytes: number): BodyVerdict {
    if (this.#bytes + bytes > this.#intake.bodyBytesMax) return this.#drop('tooLarge');
    if (!this.#intake.holdBytes(bytes)) return this.#drop('overBudget');
    this.#bytes += bytes;
    return 'more';
  }

  /** Nothing was appended yet. */
  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Appends what `admit` allowed. */
  append(chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  take(): Buffer {
    const [first] = this.#chunks;
    if (first === undefined) return emptyBody;
    const body = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [];
    return body;
  }

  /** Gives the bytes back to the budget; called when the request is answered or gone. */
  release(): void {
    this.#intake.releaseBytes(this.#bytes);
    this.#bytes = 0;
    this.#chunks = [];
  }

  #drop(verdict: BodyVerdict): BodyVerdict {
    this.release();
    return verdict;
  }
}

/** True when the announced length alone exceeds the limit: then nothing needs to be read to know. */
export function announcesTooMuch(contentLength: string, bodyBytesMax: number): boolean {
  return contentLength !== '' && Number(contentLength) > bodyBytesMax;
}
