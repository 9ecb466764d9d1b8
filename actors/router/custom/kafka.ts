// KAFKA: one message for each event, acknowledged by all replicas in sync. Messages of one user follow each other,
// because the router sends the next one when this one has arrived.

import { KafkaError, type KafkaTarget, openKafka } from '../../../transport/index.ts';
import { booleanOf, recordOf, textOf } from '../config-values.ts';
import { type CustomType, misconfigured, outcomeOf, refused, succeeded, unreachable } from './sender.ts';

const mechanisms = { plain: 'plain', sha256: 'scram-sha-256', sha512: 'scram-sha-512' } as const;
const tooLarge = 413;

export const kafkaType: CustomType = {
  name: 'KAFKA',
  async open({ config }, { guard, timeoutMs }) {
    const producer = await openKafka(kafkaTarget(config), { guard, timeoutMs });
    return {
      async send({ message, userId, topic, headers }) {
        const name = textOf(topic, textOf(config.topic));
        if (name === '') return outcomeOf(refused, 'expected the message to name a topic');
        const texts = Object.entries(recordOf(headers)).map(([key, value]) => [key, String(value)]);
        const value = Buffer.from(JSON.stringify(message));
        try {
          await producer.send({ topic: name, key: textOf(userId), value, headers: Object.fromEntries(texts) });
          return outcomeOf(succeeded);
        } catch (error) {
          return kafkaFailure(error);
        }
      },
      close: () => producer.close(),
    };
  },
};

/** Throws what is wrong with the settings. */
export function kafkaTarget(config: Readonly<Record<string, unknown>>): KafkaTarget {
  const port = textOf(config.port, '9092') || '9092';
  const brokers = textOf(config.hostName)
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '')
    .map((host) => (/:\d+$/.test(host) ? host : `${host}:${port}`));
  if (brokers.length === 0) throw new Error('expected hostName to name brokers');
  const ca = textOf(config.caCertificate);
  const target: KafkaTarget = { brokers };
  if (booleanOf(config.sslEnabled, false)) target.tls = ca === '' ? {} : { ca };
  if (booleanOf(config.useSASL, false)) {
    const given = textOf(config.saslType, 'plain');
    const mechanism = given === 'sha256' || given === 'sha512' ? mechanisms[given] : mechanisms.plain;
    target.sasl = { mechanism, username: textOf(config.username), password: textOf(config.password) };
  }
  return target;
}

/** What is wrong with the message itself. Everything else may be mended: brokers come back, rights are given. */
const finalCodes: ReadonlySet<string> = new Set([
  'CORRUPT_MESSAGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'INVALID_TOPIC_EXCEPTION',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
]);
const tooLargeCodes: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);

export function kafkaFailure(error: unknown) {
  if (!(error instanceof KafkaError)) return outcomeOf(500, error instanceof Error ? error.message : String(error));
  const { code, message, isRetryable } = error;
  const text = `${code}: ${message}`;
  if (tooLargeCodes.has(code)) return outcomeOf(tooLarge, text);
  if (finalCodes.has(code)) return outcomeOf(refused, text);
  return outcomeOf(isRetryable ? unreachable : misconfigured, text);
}
