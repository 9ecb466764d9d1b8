// LAMBDA: a function of AWS is called with each event.

import { awsProblem, awsSettings, sendMessage } from './custom-message.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import { abort } from './destination.ts';
import { oneOf, text } from './settings.ts';

/** What Lambda takes with an asynchronous call, and with one that is waited for. */
const payloadBytesMax = { Event: 256 * 1024, RequestResponse: 6 * 1024 * 1024 } as const;
const tooLarge = 413;

export const lambda = defineDestination({
  name: 'LAMBDA',
  deliveredBy: 'custom',
  summary: 'a call of a function with every event',
  settings: {
    lambda: text('name or ARN of the function'),
    invocationType: oneOf('whether its answer is waited for', ['Event', 'RequestResponse']),
    clientContext: text('handed to the function with every call', ''),
    ...awsSettings,
  },
  prepare(settings): Transform | string {
    const problem = awsProblem(settings);
    if (problem !== undefined) return problem;
    const bytesMax = payloadBytesMax[settings.invocationType];
    return (event) => {
      const payload = JSON.stringify(event);
      const size = Buffer.byteLength(payload);
      if (size > bytesMax) return abort(`expected at most ${bytesMax} bytes for Lambda, got ${size}`, tooLarge);
      return sendMessage({ payload });
    };
  },
});
