// FIREHOSE: each event as a record of a delivery stream, which is chosen by the event.

import { awsProblem, awsSettings, eventMapping, sendMessage } from './custom-message.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import { filter } from './destination.ts';
import { rows } from './settings.ts';

export const firehose = defineDestination({
  name: 'FIREHOSE',
  deliveredBy: 'custom',
  summary: 'events as records of delivery streams',
  settings: {
    mapEvents: rows('delivery streams by name or type of event, `*` for all', ['from', 'to']),
    ...awsSettings,
  },
  prepare(settings): Transform | string {
    const problem = settings.mapEvents.length === 0 ? 'mapEvents is missing' : awsProblem(settings);
    if (problem !== undefined) return problem;
    const streamOf = eventMapping(settings.mapEvents);
    return (event, _metadata, type) => {
      const deliveryStreamMapTo = streamOf(event, type);
      if (deliveryStreamMapTo === undefined) return filter('mapEvents has no stream for the event');
      return sendMessage({ message: event, deliveryStreamMapTo });
    };
  },
});
