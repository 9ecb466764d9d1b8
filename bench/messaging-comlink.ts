// Comlink over a MessagePort of Node, as the messaging scenario uses it on both sides: the plain way to call a worker.

import type { MessagePort, Transferable } from 'node:worker_threads';
import type { Endpoint } from 'comlink';

export interface RemoteCounter {
  count(body: Uint8Array): number;
  echo(value: number): number;
}

/** Comlink listens for events as in a browser; a port of Node hands over the data itself. */
export function comlinkEndpoint(port: MessagePort): Endpoint {
  const listeners = new Map<unknown, (data: unknown) => void>();
  return {
    postMessage: (message: unknown, transfer: Transferable[] = []) => port.postMessage(message, transfer),
    addEventListener: (_type: string, listener: (event: { data: unknown }) => void) => {
      const onMessage = (data: unknown): void => listener({ data });
      listeners.set(listener, onMessage);
      port.on('message', onMessage);
    },
    removeEventListener: (_type: string, listener: unknown) => {
      const onMessage = listeners.get(listener);
      if (onMessage !== undefined) port.off('message', onMessage);
      listeners.delete(listener);
    },
    start: () => port.start(),
  };
}
