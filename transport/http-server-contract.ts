// What the HTTP listener promises, whichever engine is behind it. A file of its own, because both engines are written
// against it and http-server.ts chooses between them.
//
// Life of a request: reading -> handling -> answered. It is in flight from its headers until its answer, and its body
// counts against a byte budget meanwhile. `refuse` is the first step of a drain: what is in flight is finished, what
// comes new is answered 503 and its connection closed.

import type { TlsFiles } from './http-tls.ts';

export const bodyTimeoutMsDefault = 30_000;

export type HttpEngine = 'uws' | 'node';

export interface HttpRequest {
  /** Upper case, as sent. */
  readonly method: string;
  /** Without the query, still percent-encoded. */
  readonly path: string;
  /** What follows '?', or ''. */
  readonly query: string;
  /** IPv4-mapped addresses come as IPv4. */
  readonly remoteAddress: string;
  /** Valid while the handler runs, who copies what he keeps; empty when there is none or when it was too large. */
  readonly body: Buffer;
  /** The handler is called as soon as that is known; the rest of the body is discarded while the answer is sent. */
  readonly bodyTooLarge: boolean;
  /** Value of one of the `headerNames`, or ''. */
  header(name: string): string;
  /** Every header by its lower-case name, where `keepsAllHeaders` says so; otherwise empty. */
  readonly allHeaders: ReadonlyMap<string, string>;
}

export type HttpHeaders = Readonly<Record<string, string>>;

/** Exactly once per request; after the client went away it only ends the bookkeeping. */
export type Respond = (status: number, headers: HttpHeaders, body: string | Uint8Array) => void;

export interface HttpListenOptions {
  host: string;
  /** 0 picks a free one. */
  port: number;
  engine: 'auto' | HttpEngine;
  /** Lower-case names of the headers `HttpRequest.header` may be asked for; only these are copied. */
  headerNames: readonly string[];
  /** Paths whose handlers look at headers that nobody can name before. Default: none. */
  keepsAllHeaders?(path: string): boolean;
  /** Largest body of one request, enforced while reading. */
  bodyBytesMax: number;
  /** Bodies held at once, over all requests; a request beyond it is answered 503. */
  bodyBytesInFlightMax: number;
  /** Requests between headers and answer; beyond: 503. */
  requestsInFlightMax: number;
  /** From the headers to the end of the body; beyond: 408 and the connection is closed. Default 30,000. */
  bodyTimeoutMs?: number;
  /** From the first byte of a request to the end of its headers. node:http only: uWebSockets.js has 10 s of its own. */
  headersTimeoutMs?: number;
  /** Silence on a connection between requests. node:http only: uWebSockets.js has 10 s of its own. */
  keepAliveTimeoutMs?: number;
  /** Absent: plain HTTP. */
  tls?: TlsFiles;
  /**
   * The address of a request is the one in the PROXY protocol header (version 2) that its connection begins with, if it
   * has one. uWebSockets.js only; with node:http, listening fails.
   */
  proxyProtocol?: boolean;
  /** Must not throw; if it does, the client gets a 500 and `onHandlerError` the error. */
  handler(request: HttpRequest, respond: Respond): void;
  onHandlerError(error: unknown): void;
}

export interface HttpServer {
  readonly engine: HttpEngine;
  readonly port: number;
  /** Why `auto` fell back to node:http; '' when it did not. */
  readonly fallbackReason: string;
  readonly inFlight: number;
  /** From now on every new request is answered 503 with `Connection: close`. */
  refuse(): void;
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>;
  /** Stops listening and cuts every connection. */
  close(): Promise<void>;
}
