// REDIS: what is known of a user, kept under `user:<id>`: a hash with a field per trait, or one JSON document.

import { sendMessage } from './custom-message.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import { abort, filter } from './destination.ts';
import { textOf, traitsOf } from './event-fields.ts';
import { flag, lines, text } from './settings.ts';

export const redis = defineDestination({
  name: 'REDIS',
  deliveredBy: 'custom',
  summary: 'traits of users under `user:<id>`, a hash or a JSON document',
  messageTypes: ['identify'],
  settings: {
    address: text('`host:port`, of a cluster several, separated by commas'),
    password: text('to sign in', ''),
    database: text('number of the database', '0'),
    clusterMode: flag('it is a cluster', true),
    secure: flag('connect by TLS'),
    skipVerify: flag('take any certificate'),
    caCertificate: lines('certificate of the authority', ''),
    prefix: text('before keys: `<prefix>:user:<id>`', ''),
    useJSONModule: flag('keep JSON documents (RedisJSON) instead of hashes'),
  },
  prepare({ prefix, useJSONModule, database }): Transform | string {
    if (!/^\d+$/.test(database)) return `expected database to be a number, got ${JSON.stringify(database)}`;
    const before = prefix === '' ? '' : `${prefix}:`;
    return (event) => {
      const userId = textOf(event.userId);
      if (userId === undefined) return abort('userId is missing');
      const key = `${before}user:${userId}`;
      const traits = traitsOf(event);
      if (Object.keys(traits).length === 0) return filter('the identify has no traits');
      if (useJSONModule) return sendMessage({ message: { key, value: traits }, userId });
      const fields = Object.entries(traits).map(([trait, value]) => [trait, fieldOf(value)]);
      return sendMessage({ message: { key, fields: Object.fromEntries(fields) }, userId });
    };
  },
});

/** Fields of a hash are texts. */
function fieldOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
