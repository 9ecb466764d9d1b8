// The door to Redis: one connection that runs scripts. The client is loaded when it is first asked for, because nearly
// every installation runs without Redis. Nothing waits without a limit, and a lost connection is a TransportError at
// once: whoever uses it decides whether to open another.

import { TransportError } from './errors.ts';

export interface RedisOptions {
  /** redis://user:password@host:port/database, or rediss:// */
  url: string;
  /** Longest wait for a connection, and for an answer. */
  timeoutMs: number;
}

export interface Redis {
  /** Runs a Lua script. */
  evaluate(script: string, keys: string[], values: string[]): Promise<unknown>;
  close(): Promise<void>;
}

/** Rejects with TransportError REDIS_UNAVAILABLE. */
export async function openRedis({ url, timeoutMs }: RedisOptions): Promise<Redis> {
  const { createClient } = await import('@redis/client');
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: { connectTimeout: timeoutMs, reconnectStrategy: false },
    commandOptions: { timeout: timeoutMs },
  });
  // Without a listener an error of the connection would end the process; every command fails with it anyway.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw unavailable(error);
  }
  return {
    evaluate: async (script, keys, values) => {
      try {
        return await client.eval(script, { keys, arguments: values });
      } catch (error) {
        throw unavailable(error);
      }
    },
    close: async () => {
      if (client.isOpen) client.destroy();
    },
  };
}

/** The client's texts name the address, never the password. */
function unavailable(cause: unknown): TransportError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new TransportError('REDIS_UNAVAILABLE', `Redis cannot be used: ${text}`, { retryable: true, cause });
}
