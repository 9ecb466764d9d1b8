// Kafka as a place data is delivered to. The client (kafkajs, an optional package) is loaded when a destination needs
// it. Every connection, also to brokers that the first one names, is made under the egress guard.

import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { EgressGuard } from './egress-guard.ts';
import { TransportError } from './errors.ts';

export interface KafkaTarget {
  /** `host:port` */
  brokers: readonly string[];
  tls?: { ca?: string };
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };
}

export interface KafkaMessage {
  topic: string;
  /** '': any partition. */
  key: string;
  value: Uint8Array;
  headers: Readonly<Record<string, string>>;
}

export interface KafkaProducer {
  /** Once all replicas in sync have it. Rejects with KafkaError. */
  send(message: KafkaMessage): Promise<void>;
  close(): Promise<void>;
}

/** What failed, in the client's own terms. */
export class KafkaError extends Error {
  /** `KafkaJSConnectionError`, or the protocol's like `MESSAGE_TOO_LARGE`. */
  readonly code: string;
  readonly isRetryable: boolean;

  constructor(code: string, message: string, isRetryable: boolean) {
    super(message);
    this.name = 'KafkaError';
    this.code = code;
    this.isRetryable = isRetryable;
  }
}

export interface KafkaOptions {
  timeoutMs: number;
  guard: EgressGuard;
}

const clientId = 'sluice';

export async function openKafka({ brokers, tls, sasl }: KafkaTarget, options: KafkaOptions): Promise<KafkaProducer> {
  const { timeoutMs, guard } = options;
  const { Kafka, logLevel, KafkaJSError } = await loadKafka();
  const classified = (cause: unknown): KafkaError => {
    if (cause instanceof TransportError) return new KafkaError(cause.code, cause.message, cause.retryable);
    if (!(cause instanceof KafkaJSError)) return new KafkaError('UNKNOWN', String(cause), true);
    const inner = 'cause' in cause && cause.cause instanceof KafkaJSError ? cause.cause : cause;
    const type = 'type' in inner && typeof inner.type === 'string' ? inner.type : inner.name;
    return new KafkaError(type, inner.message, inner.retriable === true);
  };
  const kafka = new Kafka({
    clientId,
    brokers: [...brokers],
    connectionTimeout: timeoutMs,
    authenticationTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    enforceRequestTimeout: true,
    // The router tries again by its own rules.
    retry: { retries: 0 },
    logLevel: logLevel.NOTHING,
    socketFactory: ({ host, port, ssl, onConnect }) => guardedSocket({ host, port, ssl, onConnect }, guard),
    ...(tls === undefined ? {} : { ssl: tls.ca === undefined ? true : { ca: [tls.ca] } }),
    ...(sasl === undefined ? {} : { sasl: saslOf(sasl) }),
  });
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  try {
    await producer.connect();
  } catch (cause) {
    throw classified(cause);
  }
  return {
    send: async ({ topic, key, value, headers }) => {
      try {
        const message = { key: key === '' ? null : key, value: Buffer.from(value), headers: { ...headers } };
        await producer.send({ topic, acks: -1, timeout: timeoutMs, messages: [message] });
      } catch (cause) {
        throw classified(cause);
      }
    },
    // Closing cannot fail in a way that anybody could mend.
    close: () => producer.disconnect().catch(() => undefined),
  };
}

async function loadKafka(): Promise<typeof import('kafkajs')> {
  try {
    // CommonJS whose exports are not all found by name.
    return (await import('kafkajs')).default;
  } catch (cause) {
    throw new TransportError('PACKAGE_MISSING', 'the optional package kafkajs is not installed', { cause });
  }
}

function saslOf({ mechanism, username, password }: NonNullable<KafkaTarget['sasl']>) {
  // One object for each: the client's type tells mechanisms apart.
  switch (mechanism) {
    case 'plain':
      return { mechanism, username, password } as const;
    case 'scram-sha-256':
      return { mechanism, username, password } as const;
    case 'scram-sha-512':
      return { mechanism, username, password } as const;
  }
}

function guardedSocket(
  { host, port, ssl, onConnect }: { host: string; port: number; ssl: object | undefined; onConnect: () => void },
  guard: EgressGuard,
) {
  const refusal = guard.refuses(host);
  // A socket that fails is how the client learns of it.
  const lookup: EgressGuard['lookup'] =
    refusal === undefined ? guard.lookup : (_hostname, _options, done) => done(Object.assign(refusal), '', 4);
  const target = refusal === undefined ? host : 'refused.invalid';
  return ssl === undefined || ssl === null
    ? connect({ host: target, port, lookup }, onConnect)
    : connectTls({ host: target, port, lookup, servername: host, ...ssl }, onConnect);
}
