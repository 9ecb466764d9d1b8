// The worker of the example in ARCHITECTURE.md, which shows this file from its imports on.

import { defineActor, runThread } from '../../runtime/index.ts';

export type CounterMessage = { kind: 'add'; by: number } | { kind: 'read' };

const counter = defineActor<CounterMessage>({
  kind: 'counter',
  role: 'workers',
  mailbox: { capacity: 10_000 },
  create(context) {
    let sum = 0; // lost with each incarnation: what must last belongs into a database
    return {
      onMessage(message) {
        if (message.kind === 'add') sum += message.by;
        else context.reply(sum);
      },
    };
  },
});

runThread({ definitions: () => [counter] });
