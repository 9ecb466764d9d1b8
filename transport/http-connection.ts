// How connections to one receiver are made: how many, with which certificates, by which version of HTTP, through which
// proxy. Part of http-client.ts, which owns them and their exchanges.

import type { Dispatcher, Pool } from 'undici';
import type { EgressGuard } from './egress-guard.ts';
import { loadUndici } from './heavy-modules.ts';

/** What a receiver wants of its connections. One object for all of its requests: another one means new connections. */
export interface ConnectionOptions {
  /** Instead of the client's. */
  connectionsMax?: number;
  /** Requests on one connection that are not answered yet. Above 1 only for receivers that may get a request again. */
  pipelining?: number;
  /** HTTP/2 where the receiver offers it (by TLS). */
  allowHttp2?: boolean;
  tls?: TlsOptions;
}

/** PEM texts. */
export interface TlsOptions {
  /** Instead of the public authorities. */
  ca?: string;
  /** Who we are, with its key. */
  cert?: string;
  key?: string;
}

export interface ConnectionDefaults {
  connectionsMax: number;
  connectTimeoutMs: number;
  guard?: EgressGuard;
  /** `http://user:password@host:port`; '' or absent: none. It resolves names itself, so the guard judges addresses only. */
  proxy?: string;
}

/** Throws what undici throws for an origin or a certificate that is none. */
export function openConnections(
  origin: string,
  { connectionsMax, pipelining = 1, allowHttp2 = false, tls = {} }: ConnectionOptions,
  defaults: ConnectionDefaults,
): Dispatcher {
  const { connectTimeoutMs, guard, proxy = '' } = defaults;
  const options: Pool.Options = {
    connections: connectionsMax ?? defaults.connectionsMax,
    pipelining,
    allowH2: allowHttp2,
  };
  const { Pool, ProxyAgent } = loadUndici();
  if (proxy === '') {
    const lookup = guard === undefined ? {} : { lookup: guard.lookup };
    return new Pool(origin, { ...options, connect: { timeout: connectTimeoutMs, ...tls, ...lookup } });
  }
  return new ProxyAgent({
    uri: proxy,
    ...options,
    requestTls: { timeout: connectTimeoutMs, ...tls },
    proxyTls: { timeout: connectTimeoutMs },
  });
}
