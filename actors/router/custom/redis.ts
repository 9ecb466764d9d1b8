// REDIS: hashes (HSET), or JSON documents that are merged (RedisJSON).

import { openRedisCommands, RedisCommandError, type RedisTarget } from '../../../transport/index.ts';
import { booleanOf, recordOf, textOf } from '../config-values.ts';
import {
  type CustomMessage,
  type CustomType,
  misconfigured,
  outcomeOf,
  refused,
  succeeded,
  unreachable,
} from './sender.ts';

const portDefault = 6379;

export const redisType: CustomType = {
  name: 'REDIS',
  async open({ config }, { guard, timeoutMs }) {
    const commands = await openRedisCommands(redisTarget(config), { guard, timeoutMs });
    return {
      async send(message) {
        const command = redisCommand(message);
        if (command === undefined) return outcomeOf(refused, 'expected a message with a key and fields or a value');
        try {
          await commands.run(command.key, command.words);
          return outcomeOf(succeeded);
        } catch (error) {
          return redisFailure(error);
        }
      },
      close: () => commands.close(),
    };
  },
};

/** Throws what is wrong with the settings. */
export function redisTarget(config: Readonly<Record<string, unknown>>): RedisTarget {
  const nodes = textOf(config.address)
    .split(',')
    .map((address) => nodeOf(address.trim()));
  const database = Number(textOf(config.database, '0') || '0');
  if (!Number.isInteger(database) || database < 0) throw new Error('expected database to be a number');
  const ca = textOf(config.caCertificate);
  const tls = { rejectUnauthorized: !booleanOf(config.skipVerify, false), ...(ca === '' ? {} : { ca }) };
  return {
    nodes,
    isCluster: booleanOf(config.clusterMode, true),
    password: textOf(config.password),
    database,
    ...(booleanOf(config.secure, false) ? { tls } : {}),
  };
}

function nodeOf(address: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^\[?([^\]]+?)\]?(?::(\d+))?$/.exec(address) ?? [];
  if (host === '') throw new Error('expected address to be host:port');
  return { host, port: port === '' ? portDefault : Number(port) };
}

/** Undefined: the message is not one of the three there are. */
export function redisCommand({ message }: CustomMessage): { key: string; words: string[] } | undefined {
  const { key, fields, hash, value, path = '$' } = recordOf(message);
  if (typeof hash === 'string' && typeof key === 'string')
    return { key: hash, words: ['HSET', hash, key, wordOf(value)] };
  if (typeof key !== 'string' || key === '') return undefined;
  if (fields !== undefined) {
    const pairs = Object.entries(recordOf(fields)).flatMap(([name, field]) => [name, wordOf(field)]);
    return pairs.length === 0 ? undefined : { key, words: ['HSET', key, ...pairs] };
  }
  if (value === undefined || typeof path !== 'string') return undefined;
  return { key, words: ['JSON.MERGE', key, path, JSON.stringify(value)] };
}

function wordOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Answers about the data are final; those about the server, the rights or the connection are not. */
export function redisFailure(error: unknown) {
  const text = error instanceof Error ? error.message : String(error);
  if (!(error instanceof RedisCommandError)) return outcomeOf(unreachable, text);
  const isAboutData = error.code === 'WRONGTYPE' || (error.code === 'ERR' && !/unknown command/i.test(text));
  return outcomeOf(isAboutData ? refused : misconfigured, text);
}
