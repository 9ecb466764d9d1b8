// Redis as a place data is delivered to: commands over one connection, or over those of a cluster. The client is loaded
// when a destination needs it. Nothing waits without a limit, and the addresses customers chose are guarded like those
// of every delivery, those of a cluster's other nodes included.

import type { EgressGuard } from './egress-guard.ts';
import { TransportError } from './errors.ts';

export interface RedisTarget {
  /** Several of a cluster. */
  nodes: readonly { host: string; port: number }[];
  isCluster: boolean;
  /** '': none. */
  password: string;
  database: number;
  tls?: { ca?: string; rejectUnauthorized: boolean };
}

export interface RedisCommands {
  /** `key` says which node of a cluster. Rejects with RedisCommandError, or TransportError when Redis cannot be reached. */
  run(key: string, command: readonly string[]): Promise<unknown>;
  close(): Promise<void>;
}

/** Redis answered with an error; `code` is its first word, like WRONGTYPE. */
export class RedisCommandError extends Error {
  readonly code: string;

  constructor(message: string) {
    super(message);
    this.name = 'RedisCommandError';
    this.code = message.split(/[\s:]/, 1)[0] ?? '';
  }
}

export interface RedisCommandsOptions {
  timeoutMs: number;
  guard: EgressGuard;
}

export async function openRedisCommands(
  { nodes, isCluster, password, database, tls }: RedisTarget,
  { timeoutMs, guard }: RedisCommandsOptions,
): Promise<RedisCommands> {
  for (const { host } of nodes) {
    const refusal = guard.refuses(host);
    if (refusal !== undefined) throw refusal;
  }
  const { createClient, createCluster, ErrorReply } = await import('@redis/client');
  const limits = { connectTimeout: timeoutMs, reconnectStrategy: false as const, lookup: guard.lookup };
  const socket = tls === undefined ? limits : { ...limits, ...tls, tls: true as const };
  const defaults = {
    ...(password === '' ? {} : { password }),
    disableOfflineQueue: true,
    commandOptions: { timeout: timeoutMs },
  };
  const classified = (cause: unknown): Error =>
    cause instanceof ErrorReply ? new RedisCommandError(cause.message) : away(cause);
  try {
    if (isCluster) {
      const rootNodes = nodes.map(({ host, port }) => ({ socket: { ...socket, host, port } }));
      const cluster = createCluster({ rootNodes, defaults: { ...defaults, socket } });
      cluster.on('error', () => undefined);
      await cluster.connect();
      return {
        run: (key, command) =>
          cluster.sendCommand(key, false, [...command]).catch((cause: unknown) => Promise.reject(classified(cause))),
        close: async () => cluster.destroy(),
      };
    }
    const [{ host, port } = { host: '', port: 0 }] = nodes;
    const client = createClient({ ...defaults, database, socket: { ...socket, host, port } });
    // Without a listener an error of the connection would end the process; every command fails with it anyway.
    client.on('error', () => undefined);
    await client.connect();
    return {
      run: (_key, command) =>
        client.sendCommand([...command]).catch((cause: unknown) => Promise.reject(classified(cause))),
      close: async () => {
        if (client.isOpen) client.destroy();
      },
    };
  } catch (cause) {
    const failure = classified(cause);
    // The client does not say it.
    if (isCluster && !(cause instanceof ErrorReply)) failure.message += ' (a single server is no cluster: clusterMode)';
    throw failure;
  }
}

function away(cause: unknown): Error {
  if (cause instanceof TransportError) return cause;
  const text = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new TransportError('REDIS_UNAVAILABLE', `Redis cannot be used: ${text}`, { retryable: true, cause });
}
