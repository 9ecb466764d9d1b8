// KINESIS: each event as a record of a data stream, with its user (or message id) as the partition key.

import { awsProblem, awsSettings, orderKeyOf, sendMessage } from './custom-message.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import { flag, text } from './settings.ts';

export const kinesis = defineDestination({
  name: 'KINESIS',
  deliveredBy: 'custom',
  summary: 'every event as a record of a data stream',
  settings: {
    stream: text('name of the stream'),
    useMessageId: flag('spread records by message id instead of user, which gives up the order of users'),
    ...awsSettings,
  },
  prepare(settings): Transform | string {
    const problem = awsProblem(settings);
    if (problem !== undefined) return problem;
    return (event, { messageId }) => {
      // Kinesis refuses an empty partition key.
      const userId = orderKeyOf(event);
      return sendMessage({ message: event, userId: userId === '' ? messageId : userId });
    };
  },
});
