// The other thread of the messaging scenario: an actor system behind a link, and beside it the bare ways to be told
// something: a port that counts and echoes, a port that takes frames, and comlink.

import { type MessagePort, workerData } from 'node:worker_threads';
import * as comlink from 'comlink';
import { readFrame } from '../transport/frame.ts';
import { createPortLink, decode } from '../transport/index.ts';
import { createBenchSystem, echoDefinition, receiverThread, senderThread, sinkDefinition } from './messaging-actors.ts';
import { comlinkEndpoint, type RemoteCounter } from './messaging-comlink.ts';

interface Ports {
  linkPort: MessagePort;
  barePort: MessagePort;
  framedPort: MessagePort;
  comlinkPort: MessagePort;
}

const { linkPort, barePort, framedPort, comlinkPort } = workerData as Ports;
const system = createBenchSystem(receiverThread, [sinkDefinition('receiver'), echoDefinition]);
system.setPlacement({ epoch: 1, threadsByRole: { sender: [senderThread], receiver: [receiverThread] }, pins: {} });
system.attachLink(createPortLink(linkPort, senderThread));

barePort.on('message', (message: { isLast?: boolean; echo?: number }) => {
  if (message.isLast === true || message.echo !== undefined) barePort.postMessage(message);
});

let handled = 0;
framedPort.on('message', (frame: ArrayBuffer | 'end') => {
  if (frame === 'end') {
    framedPort.postMessage(handled);
    return;
  }
  for (const { body } of readFrame(frame).envelopes) if (decode(body) instanceof Uint8Array) handled += 1;
});

const counter: RemoteCounter = {
  count: () => {
    handled += 1;
    return handled;
  },
  echo: (value) => value,
};
comlink.expose(counter, comlinkEndpoint(comlinkPort));
