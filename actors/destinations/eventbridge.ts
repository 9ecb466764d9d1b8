// EVENTBRIDGE: each event as an entry of PutEvents (docs.aws.amazon.com/eventbridge, API reference), which rules of the
// bus match by source, detail type and detail.

import { awsProblem, awsSettings, sendMessage } from './custom-message.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import { abort } from './destination.ts';
import { timeMsOf } from './event-fields.ts';
import { text } from './settings.ts';

/** Of an entry, as Amazon counts it. */
const entryBytesMax = 256 * 1024;
const tooLarge = 413;

export const eventbridge = defineDestination({
  name: 'EVENTBRIDGE',
  deliveredBy: 'custom',
  summary: 'every event as an entry of an event bus',
  settings: {
    detailType: text('by which rules know the events'),
    eventBusName: text('name of the bus', 'default'),
    resourceID: text('resources the events concern, separated by commas', ''),
    source: text('by which rules know the sender', 'rudderstack'),
    ...awsSettings,
  },
  prepare(settings): Transform | string {
    const problem = awsProblem(settings);
    if (problem !== undefined) return problem;
    const { detailType, eventBusName, resourceID, source } = settings;
    const resources = resourceID.split(',').map((id) => id.trim());
    const named = resources.filter((id) => id !== '');
    return (event, metadata) => {
      const entry = {
        // Amazon's JSON wants times in seconds.
        Time: Math.floor(timeMsOf(event, metadata) / 1000),
        Source: source,
        Resources: named,
        DetailType: detailType,
        Detail: JSON.stringify(event),
        EventBusName: eventBusName,
      };
      const size = Buffer.byteLength(entry.Detail) + Buffer.byteLength(detailType) + Buffer.byteLength(source);
      if (size > entryBytesMax)
        return abort(`expected at most ${entryBytesMax} bytes for EventBridge, got ${size}`, tooLarge);
      return sendMessage(entry);
    };
  },
});
