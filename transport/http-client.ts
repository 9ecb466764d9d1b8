// Outbound HTTP for deliveries. Every receiver (a key the caller chooses, with an origin) has its own connections, so
// that one that stalls cannot take those of another. Nothing here waits without a limit: connecting, the answer as a
// whole, and the bytes of its body are all bounded, and a body is always read to its end or its connection closed.
//
// An exchange: queued → sent → answering → settled. `done` is called exactly once, never before `send` has returned.
// Deadlines are kept by one sweep over the exchanges in flight, not by a timer for each of them.

import { type Dispatcher, Pool } from 'undici';
import { TransportError } from './errors.ts';

export interface HttpClientOptions {
  connectTimeoutMs: number;
  /** Connections to one receiver, which is also how many exchanges run at once; more wait in line. */
  connectionsMax: number;
  /** Receivers with open pools; the longest unused idle one is closed first. */
  poolsMax: number;
  /** A pool unused for this long is closed when the client is next used. */
  poolIdleMs: number;
  /** Bytes of an answer that are kept. */
  responseBytesMax: number;
  /** Bytes of an answer that are read and thrown away to keep the connection; beyond, it is closed. */
  drainBytesMax: number;
  /** How often deadlines are looked at: the precision of `timeoutMs`. */
  sweepMs: number;
}

export const httpClientDefaults: HttpClientOptions = {
  connectTimeoutMs: 5_000,
  connectionsMax: 64,
  poolsMax: 1_000,
  poolIdleMs: 60_000,
  responseBytesMax: 10 * 1024,
  drainBytesMax: 256 * 1024,
  sweepMs: 50,
};

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
}

export interface OutboundResponse {
  status: number;
  contentType: string | undefined;
  contentEncoding: string | undefined;
  retryAfter: string | undefined;
  /** The first `responseBytesMax` bytes, as they came over the wire. */
  body: Buffer;
  /** There was more, or it did not end in time. The status counts all the same: it had been received. */
  truncated: boolean;
}

/** HTTP_TIMEOUT, HTTP_CONNECT_FAILED, HTTP_CONNECTION_LOST, HTTP_CLIENT_CLOSED; HTTP_INVALID_REQUEST is not retryable. */
export type OutboundOutcome = { ok: true; response: OutboundResponse } | { ok: false; error: TransportError };

interface PoolEntry {
  readonly pool: Pool;
  inFlight: number;
  lastUsedMs: number;
}

export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #pools = new Map<string, PoolEntry>();
  readonly #exchanges = new Set<Exchange>();
  #sweep: NodeJS.Timeout | undefined;
  #idleLookedAtMs = 0;
  #closed = false;

  constructor(options: Partial<HttpClientOptions> = {}) {
    this.#options = { ...httpClientDefaults, ...options };
  }

  get inFlight(): number {
    return this.#exchanges.size;
  }

  get pools(): number {
    return this.#pools.size;
  }

  send(request: OutboundRequest, done: (outcome: OutboundOutcome) => void): void {
    const nowMs = performance.now();
    const options = this.#options;
    if (this.#closed) {
      const error = new TransportError('HTTP_CLIENT_CLOSED', 'expected an open HTTP client, got a closed one');
      queueMicrotask(() => done({ ok: false, error }));
      return;
    }
    let entry: PoolEntry;
    try {
      entry = this.#poolOf(request, nowMs);
    } catch (cause) {
      queueMicrotask(() => done({ ok: false, error: invalidRequest(cause) }));
      return;
    }
    entry.inFlight += 1;
    const exchange = new Exchange(options, nowMs + request.timeoutMs, (settled, outcome) => {
      this.#exchanges.delete(settled);
      entry.inFlight -= 1;
      done(outcome);
    });
    this.#exchanges.add(exchange);
    this.#sweep ??= setInterval(() => this.#sweepDeadlines(), options.sweepMs).unref();
    try {
      entry.pool.dispatch(
        {
          path: request.path,
          method: request.method,
          headers: request.headers,
          body: request.body,
          headersTimeout: 0,
          bodyTimeout: 0,
        },
        exchange,
      );
    } catch (cause) {
      queueMicrotask(() => exchange.fail(invalidRequest(cause)));
    }
  }

  /** Closes the connections of a receiver, all origins, once their exchanges have ended. */
  release(poolKey: string): void {
    for (const [key, entry] of this.#pools) if (key.startsWith(`${poolKey} `)) this.#closePool(key, entry);
  }

  /** Refuses new exchanges, waits for those in flight (each has its deadline), and closes every connection. */
  async close(): Promise<void> {
    this.#closed = true;
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((entry) => entry.pool.close()));
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #poolOf(request: OutboundRequest, nowMs: number): PoolEntry {
    const key = `${request.poolKey} ${request.origin}`;
    let entry = this.#pools.get(key);
    if (entry === undefined) {
      this.#makeRoom(nowMs);
      const { connectionsMax, connectTimeoutMs } = this.#options;
      const pool = new Pool(request.origin, {
        connections: connectionsMax,
        pipelining: 1,
        connect: { timeout: connectTimeoutMs },
      });
      entry = { pool, inFlight: 0, lastUsedMs: nowMs };
      this.#pools.set(key, entry);
    }
    entry.lastUsedMs = nowMs;
    return entry;
  }

  /** Looked at only when a pool is added: pools of receivers nobody talks to cost no work at all. */
  #makeRoom(nowMs: number): void {
    const { poolsMax, poolIdleMs } = this.#options;
    if (this.#pools.size < poolsMax && nowMs - this.#idleLookedAtMs < poolIdleMs) return;
    this.#idleLookedAtMs = nowMs;
    let oldest: [string, PoolEntry] | undefined;
    for (const [key, entry] of this.#pools) {
      if (entry.inFlight > 0) continue;
      if (nowMs - entry.lastUsedMs >= poolIdleMs) this.#closePool(key, entry);
      else if (oldest === undefined || entry.lastUsedMs < oldest[1].lastUsedMs) oldest = [key, entry];
    }
    if (this.#pools.size >= poolsMax && oldest !== undefined) this.#closePool(...oldest);
  }

  #closePool(key: string, entry: PoolEntry): void {
    this.#pools.delete(key);
    // Nothing waits for it: exchanges in flight end by themselves, and closing an idle pool cannot fail.
    void entry.pool.close();
  }

  #sweepDeadlines(): void {
    const nowMs = performance.now();
    for (const exchange of this.#exchanges) if (exchange.deadlineMs <= nowMs) exchange.expire();
    if (this.#exchanges.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly deadlineMs: number;
  readonly #options: HttpClientOptions;
  #settle: ((exchange: Exchange, outcome: OutboundOutcome) => void) | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #response: OutboundResponse | undefined;
  #chunks: Buffer[] = [];
  #keptBytes = 0;
  #readBytes = 0;

  constructor(
    options: HttpClientOptions,
    deadlineMs: number,
    settle: (exchange: Exchange, outcome: OutboundOutcome) => void,
  ) {
    this.#options = options;
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
      body: noBytes,
      truncated: false,
    };
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const room = this.#options.responseBytesMax - this.#keptBytes;
    if (room > 0) {
      // A copy: the chunk is a view into a buffer that undici uses again.
      const kept = Buffer.from(chunk.subarray(0, room));
      this.#chunks.push(kept);
      this.#keptBytes += kept.byteLength;
    }
    this.#readBytes += chunk.byteLength;
    if (this.#readBytes > this.#options.drainBytesMax) {
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

function invalidRequest(cause: unknown): TransportError {
  return new TransportError('HTTP_INVALID_REQUEST', cause instanceof Error ? cause.message : String(cause), { cause });
}

/** An attempt on several addresses fails with one error that holds the others and no text of its own. */
function reasonOf(cause: Error): string {
  if (cause.message !== '') return cause.message;
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
}
