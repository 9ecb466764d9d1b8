// Outbound HTTP for deliveries. Every receiver (a key the caller chooses, with an origin) has its own connections, so
// that one that stalls cannot take those of another. Nothing here waits without a limit: connecting, the answer as a
// whole, and the bytes of its body are all bounded, and a body is always read to its end or its connection closed.
//
// An exchange: queued → sent → answering → settled. `done` is called exactly once, never before `send` has returned.
// Deadlines are kept by one sweep over the exchanges in flight, not by a timer for each of them.

import type { Dispatcher } from 'undici';
import type { EgressGuard } from './egress-guard.ts';
import { TransportError } from './errors.ts';
import { type ConnectionOptions, openConnections } from './http-connection.ts';
import {
  Exchange,
  type ExchangeLimits,
  invalidRequest,
  type OutboundOutcome,
  type OutboundRequest,
} from './http-exchange.ts';

export type { ConnectionOptions, TlsOptions } from './http-connection.ts';
export type { OutboundOutcome, OutboundRequest, OutboundResponse } from './http-exchange.ts';

export interface HttpClientOptions extends ExchangeLimits {
  connectTimeoutMs: number;
  /** Connections to one receiver, which is also how many exchanges run at once; more wait in line. */
  connectionsMax: number;
  /** Receivers with open pools; the longest unused idle one is closed first. */
  poolsMax: number;
  /** A pool unused for this long is closed when the client is next used. */
  poolIdleMs: number;
  /** How often deadlines are looked at: the precision of `timeoutMs`. */
  sweepMs: number;
  /** Which addresses may be talked to; every one without it. */
  guard?: EgressGuard;
  /** URL of the proxy all requests go through; '' or absent: none. */
  proxy?: string;
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

interface PoolEntry {
  readonly pool: Dispatcher;
  readonly connection: ConnectionOptions;
  readonly isPipelined: boolean;
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
      const error = cause instanceof TransportError ? cause : invalidRequest(cause);
      queueMicrotask(() => done({ ok: false, error }));
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
          origin: request.origin,
          path: request.path,
          method: request.method,
          headers: request.headers,
          body: request.body,
          headersTimeout: 0,
          bodyTimeout: 0,
          // Otherwise undici waits for the answer to a POST before it sends the next request on a connection.
          idempotent: entry.isPipelined,
          blocking: !entry.isPipelined,
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
    const connection = request.connection ?? plainConnection;
    let entry = this.#pools.get(key);
    if (entry !== undefined && entry.connection !== connection) {
      this.#closePool(key, entry);
      entry = undefined;
    }
    if (entry === undefined) {
      const refusal = this.#options.guard?.refuses(hostnameOf(request.origin));
      if (refusal !== undefined) throw refusal;
      this.#makeRoom(nowMs);
      const pool = openConnections(request.origin, connection, this.#options);
      entry = { pool, connection, isPipelined: (connection.pipelining ?? 1) > 1, inFlight: 0, lastUsedMs: nowMs };
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

const plainConnection: ConnectionOptions = {};

/** '' for what is no URL: the pool refuses that with a reason of its own. */
function hostnameOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).hostname : '';
}
