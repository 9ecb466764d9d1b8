// What we use of uWebSockets.js. The package is optional and untyped at the places that matter, so this file states
// the few functions and checks that they are there.

import { TransportError } from './errors.ts';

export interface UwsResponse {
  writeStatus(status: string): void;
  writeHeader(name: string, value: string): void;
  end(body: string | Uint8Array, closeConnection?: boolean): void;
  endWithoutBody(): void;
  /** At once, without an answer. */
  close(): void;
  cork(write: () => void): void;
  onAborted(aborted: () => void): void;
  onData(receive: (chunk: ArrayBuffer, isLast: boolean) => void): void;
  getRemoteAddress(): ArrayBuffer;
  /** Of the PROXY protocol; empty when the connection does not speak it. */
  getProxiedRemoteAddress(): ArrayBuffer;
}

export interface UwsRequest {
  getCaseSensitiveMethod(): string;
  getUrl(): string;
  getQuery(): string | undefined;
  getHeader(name: string): string;
  /** Every header line, names in lower case; a name may come more than once. */
  forEach(take: (name: string, value: string) => void): void;
}

export interface UwsApp {
  any(pattern: string, handler: (response: UwsResponse, request: UwsRequest) => void): void;
  listen(host: string, port: number, flags: number, listening: (socket: unknown) => void): void;
  close(): void;
}

export interface UwsModule {
  App(): UwsApp;
  SSLApp(options: { cert_file_name: string; key_file_name: string }): UwsApp;
  us_socket_local_port(socket: unknown): number;
  LIBUS_LISTEN_EXCLUSIVE_PORT: number;
}

export type LoadedUws = { ok: true; uws: UwsModule } | { ok: false; error: TransportError };

/** Tries to load the native add-on; says why when it cannot. */
export async function loadUws(): Promise<LoadedUws> {
  // A variable, so that the program compiles where the optional package is not installed.
  const packageName: string = 'uwebsockets';
  try {
    const loaded: { default?: unknown } = await import(packageName);
    if (isUws(loaded.default)) return { ok: true, uws: loaded.default };
    throw new Error('the package does not export what is expected');
  } catch (cause) {
    const lines = String(cause instanceof Error ? cause.message : cause).split('\n');
    const reason = lines.findLast((line) => line.trim() !== '') ?? 'unknown reason';
    const message = `expected uWebSockets.js to load, got: ${reason}`;
    return { ok: false, error: new TransportError('HTTP_ENGINE_UNAVAILABLE', message, { cause }) };
  }
}

function isUws(value: unknown): value is UwsModule {
  return typeof value === 'object' && value !== null && 'App' in value && typeof value.App === 'function';
}
