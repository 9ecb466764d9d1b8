// GOOGLEPUBSUB: each event as a message of a topic, which is chosen by the event, with parts of it as attributes that
// subscriptions can filter by.

import { eventMapping, orderKeyOf, sendMessage } from './custom-message.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import { type EventObject, filter, isObject } from './destination.ts';
import { textOf, valueAt } from './event-fields.ts';
import { lines, rows, text } from './settings.ts';

export const pubsub = defineDestination({
  name: 'GOOGLEPUBSUB',
  deliveredBy: 'custom',
  summary: 'events as messages of topics',
  settings: {
    projectId: text('Google Cloud project'),
    credentials: lines('key of a service account, as JSON'),
    eventToTopicMap: rows('topics by name or type of event, `*` for all', ['from', 'to']),
    eventToAttributesMap: rows(
      'parts of the event (`properties.plan`) that become attributes, by name or type of event',
      ['from', 'to'],
    ),
  },
  prepare({ credentials, eventToTopicMap, eventToAttributesMap }): Transform | string {
    if (!isServiceAccount(credentials)) return 'expected credentials to be JSON with client_email and private_key';
    if (eventToTopicMap.length === 0) return 'eventToTopicMap is missing';
    const topicOf = eventMapping(eventToTopicMap);
    return (event, _metadata, type) => {
      const topicId = topicOf(event, type);
      if (topicId === undefined) return filter('eventToTopicMap has no topic for the event');
      const attributes = attributesOf(event, type, eventToAttributesMap);
      return sendMessage({ userId: orderKeyOf(event), message: event, topicId, attributes });
    };
  },
});

function isServiceAccount(credentials: string): boolean {
  try {
    const account: unknown = JSON.parse(credentials);
    return isObject(account) && typeof account.client_email === 'string' && typeof account.private_key === 'string';
  } catch {
    return false;
  }
}

/** Rows for the name of the event, or, when there are none, for its type, or for all. */
function attributesOf(
  event: EventObject,
  type: string,
  mapping: readonly { from: string; to: string }[],
): Record<string, string> {
  const name = textOf(event.event)?.trim().toLowerCase();
  for (const key of [name, type, '*']) {
    const found = mapping.filter(({ from, to }) => from.toLowerCase() === key && to !== '');
    if (found.length === 0) continue;
    const attributes: [string, string][] = [];
    for (const { to } of found) {
      const path = to.split('.');
      const value = valueAt(event, path);
      if (value === undefined || value === null) continue;
      attributes.push([path.at(-1) ?? to, typeof value === 'object' ? JSON.stringify(value) : String(value)]);
    }
    return Object.fromEntries(attributes);
  }
  return {};
}
