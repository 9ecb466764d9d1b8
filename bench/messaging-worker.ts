// The other thread of the messaging scenario: an actor system behind a link, and a bare port that counts and echoes.

import { type MessagePort, workerData } from 'node:worker_threads';
import { createPortLink } from '../transport/index.ts';
import { createBenchSystem, echoDefinition, receiverThread, senderThread, sinkDefinition } from './messaging-actors.ts';

const { linkPort, barePort } = workerData as { linkPort: MessagePort; barePort: MessagePort };
const system = createBenchSystem(receiverThread, [sinkDefinition('receiver'), echoDefinition]);
system.setPlacement({ epoch: 1, threadsByRole: { sender: [senderThread], receiver: [receiverThread] }, pins: {} });
system.attachLink(createPortLink(linkPort, senderThread));
barePort.on('message', (message: { isLast?: boolean; echo?: number }) => {
  if (message.isLast === true || message.echo !== undefined) barePort.postMessage(message);
});
