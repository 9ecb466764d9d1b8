// One outbound request from the moment it is sent until its answer is whole, cut or lost. Part of http-client.ts, which
// owns the connections and the deadlines; this file knows what an answer is and what the errors of undici mean.

import type { Dispatcher } from 'undici';
import { TransportError } from './errors.ts';
import type { ConnectionOptions } from './http-connection.ts';

export interface OutboundRequest {
  /** Exchanges with the same key and origin share connections; others never do. */
  poolKey: string;
  /** `https://host:port` */
  origin: string;
  /** Path and query. */
  path: string;
  method: string;
  /** Names and values in turn. */
  headers: string[];
  body: Uint8Array | null;
  /** From `send` to the end of the answer. */
  timeoutMs: number;
  /** Absent: as the client does it. */
  connection?: ConnectionOptions;
}

export interface OutboundResponse {
  status: number;
  contentType: string | undefined;
  contentEncoding: string | undefined;
  retryAfter: string | undefined;
  /** All of them, as the client gave them; lower-case names. */
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The first `responseBytesMax` bytes, as they came over the wire. */
  body: Buffer;
  /** There was more, or it did not end in time. The status counts all the same: it had been received. */
  truncated: boolean;
}

/**
 * HTTP_TIMEOUT, HTTP_CONNECT_FAILED, HTTP_CONNECTION_LOST, HTTP_CLIENT_CLOSED, EGRESS_DENIED;
 * HTTP_INVALID_REQUEST is not retryable.
 */
export type OutboundOutcome = { ok: true; response: OutboundResponse } | { ok: false; error: TransportError };

/** What an exchange needs to know of its client's limits. */
export interface ExchangeLimits {
  /** Bytes of an answer that are kept. */
  responseBytesMax: number;
  /** Bytes of an answer that are read and thrown away to keep the connection; beyond, it is closed. */
  drainBytesMax: number;
}

export class Exchange implements Dispatcher.DispatchHandler {
  readonly deadlineMs: number;
  readonly #limits: ExchangeLimits;
  #settle: ((exchange: Exchange, outcome: OutboundOutcome) => void) | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #response: OutboundResponse | undefined;
  #chunks: Buffer[] = [];
  #keptBytes = 0;
  #readBytes = 0;

  constructor(
    limits: ExchangeLimits,
    deadlineMs: number,
    settle: (exchange: Exchange, outcome: OutboundOutcome) => void,
  ) {
    this.#limits = limits;
    this.deadlineMs = deadlineMs;
    this.#settle = settle;
  }

  /** The deadline passed. An answer whose status is known counts; its connection is given up either way. */
  expire(): void {
    const error = new TransportError('HTTP_TIMEOUT', 'no complete answer in time', { retryable: true });
    this.#cut(error);
  }

  fail(error: TransportError): void {
    this.#finish({ ok: false, error });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It expired while it waited for a connection: nobody wants the answer any more.
    if (this.#settle === undefined) controller.abort(new TransportError('HTTP_TIMEOUT', 'expired in line'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#response = {
      status,
      contentType: firstOf(headers['content-type']),
      contentEncoding: firstOf(headers['content-encoding']),
      retryAfter: firstOf(headers['retry-after']),
      headers,
      body: noBytes,
      truncated: false,
    };
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const room = this.#limits.responseBytesMax - this.#keptBytes;
    if (room > 0) {
      // A copy: the chunk is a view into a buffer that undici uses again.
      const kept = Buffer.from(chunk.subarray(0, room));
      this.#chunks.push(kept);
      this.#keptBytes += kept.byteLength;
    }
    this.#readBytes += chunk.byteLength;
    if (this.#readBytes > this.#limits.drainBytesMax) {
      this.#cut(new TransportError('HTTP_CONNECTION_LOST', 'the answer is longer than we are willing to read'));
    }
  }

  onResponseEnd(): void {
    if (this.#response === undefined) this.fail(connectionLost(undefined));
    else this.#answer(this.#response, this.#readBytes > this.#keptBytes);
  }

  onResponseError(_controller: Dispatcher.DispatchController, cause: Error): void {
    if (this.#response !== undefined) this.#answer(this.#response, true);
    else this.fail(classify(cause));
  }

  #cut(error: TransportError): void {
    if (this.#response !== undefined) this.#answer(this.#response, true);
    else this.fail(error);
    this.#controller?.abort(error);
  }

  #answer(response: OutboundResponse, truncated: boolean): void {
    response.body = this.#chunks.length === 1 ? (this.#chunks[0] ?? noBytes) : Buffer.concat(this.#chunks);
    response.truncated = truncated;
    this.#finish({ ok: true, response });
  }

  #finish(outcome: OutboundOutcome): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(this, outcome);
  }
}

const noBytes = Buffer.alloc(0);

function firstOf(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.[0];
}

function classify(cause: Error): TransportError {
  if (cause instanceof TransportError) return cause;
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  switch (code) {
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
    case 'UND_ERR_NOT_SUPPORTED':
      return invalidRequest(cause);
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new TransportError('HTTP_CONNECT_FAILED', reasonOf(cause), { retryable: true, cause });
    default:
      return connectionLost(cause);
  }
}

function connectionLost(cause: Error | undefined): TransportError {
  const message = cause === undefined ? 'the connection ended without an answer' : reasonOf(cause);
  return new TransportError('HTTP_CONNECTION_LOST', message, { retryable: true, cause });
}

export function invalidRequest(cause: unknown): TransportError {
  return new TransportError('HTTP_INVALID_REQUEST', cause instanceof Error ? cause.message : String(cause), { cause });
}

/** An attempt on several addresses fails with one error that holds the others and no text of its own. */
function reasonOf(cause: Error): string {
  if (cause.message !== '') return cause.message;
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
}
