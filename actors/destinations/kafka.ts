// KAFKA: each event as a message of a topic, with its user as the key, so that a user's messages share a partition.

import { eventMapping, orderKeyOf, sendMessage } from './custom-message.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import { textAt } from './event-fields.ts';
import { flag, lines, oneOf, rows, text } from './settings.ts';

export const kafka = defineDestination({
  name: 'KAFKA',
  deliveredBy: 'custom',
  summary: 'every event as a message of a topic',
  settings: {
    hostName: text('brokers, separated by commas'),
    port: text('of brokers that name none', '9092'),
    topic: text('where messages go, unless the event or a mapping names another'),
    enableMultiTopic: flag('use the two mappings'),
    eventTypeToTopicMap: rows('topics by type of event', ['from', 'to']),
    eventToTopicMap: rows('topics by name of event', ['from', 'to']),
    headers: rows('headers of every message', ['from', 'to']),
    sslEnabled: flag('connect by TLS'),
    caCertificate: lines('certificate of the brokers’ authority', ''),
    useSASL: flag('sign in'),
    saslType: oneOf('how to sign in', ['plain', 'sha256', 'sha512']),
    username: text('to sign in', ''),
    password: text('to sign in', ''),
  },
  prepare(settings): Transform | string {
    const { topic, enableMultiTopic, eventTypeToTopicMap, eventToTopicMap, useSASL, username, password } = settings;
    if (useSASL && username === '') return 'username is missing';
    if (useSASL && password === '') return 'password is missing';
    const mapped = eventMapping(enableMultiTopic ? [...eventToTopicMap, ...eventTypeToTopicMap] : []);
    const headers = Object.fromEntries(settings.headers.map(({ from, to }) => [from, to]));
    const fixed = settings.headers.length === 0 ? {} : { headers };
    return (event, _metadata, type) => {
      const own = textAt(event, 'integrations.KAFKA.topic');
      const schemaId = textAt(event, 'integrations.KAFKA.schemaId');
      return sendMessage({
        message: event,
        userId: orderKeyOf(event),
        topic: own ?? mapped(event, type) ?? topic,
        ...(schemaId === undefined ? {} : { schemaId }),
        ...fixed,
      });
    };
  },
});
