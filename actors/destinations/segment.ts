// SEGMENT: events as they are to Segment's HTTP Tracking API (segment.com/docs, "HTTP API Source"). It has the same
// event model, so only what is ours, or about ourselves, is left out.

import { batchTo } from './batch.ts';
import { defineDestination } from './define-destination.ts';
import { abort, basicAuthorization, postJson } from './destination.ts';
import { present, textOf } from './event-fields.ts';
import { oneOf, text } from './settings.ts';

const endpoints = {
  us: 'https://api.segment.io/v1/batch',
  eu: 'https://events.eu1.segmentapis.com/v1/batch',
} as const;
/** Of one event; Segment drops larger ones without a word. */
const eventBytesMax = 32 * 1024;
const tooLarge = 413;

export const segment = defineDestination({
  name: 'SEGMENT',
  deliveredBy: 'http',
  summary: 'every event to the HTTP Tracking API',
  messageTypes: ['identify', 'track', 'page', 'screen', 'group', 'alias'],
  settings: {
    writeKey: text('of the Segment source'),
    region: oneOf('of the Segment workspace', ['us', 'eu']),
  },
  batch: { eventsMax: 2500, bytesMax: 500 * 1000 },
  prepare({ writeKey, region }) {
    const send = batchTo(postJson(endpoints[region], basicAuthorization(writeKey, '')), '{"batch":[', ']}');
    return (event, { messageId }, type) => {
      const userId = textOf(event.userId);
      const anonymousId = textOf(event.anonymousId);
      if (userId === undefined && anonymousId === undefined) return abort('userId and anonymousId are missing');
      if (type === 'track' && textOf(event.event) === undefined) return abort('event is missing');
      if (type === 'group' && textOf(event.groupId) === undefined) return abort('groupId is missing');
      if (type === 'alias' && textOf(event.previousId) === undefined) return abort('previousId is missing');
      const { event: name, name: pageName, groupId, previousId, traits, properties, context, timestamp } = event;
      const sent = present({
        type,
        userId,
        anonymousId,
        event: name,
        name: pageName,
        groupId,
        previousId,
        traits,
        properties,
        context,
        timestamp,
        messageId,
      });
      const result = send(sent);
      if (result.kind !== 'deliver' || result.body.length <= eventBytesMax) return result;
      return abort(`expected at most ${eventBytesMax} bytes for Segment, got ${result.body.length}`, tooLarge);
    };
  },
});
