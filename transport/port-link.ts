// A Link over a MessagePort, for two threads. One port per pair of threads, since only one port keeps an order.
// Frames are transferred, never cloned: posting a view would clone the whole buffer behind it.

import type { MessagePort } from 'node:worker_threads';
import { FramedLink } from './framed-link.ts';
import type { Link, LinkOptions } from './link.ts';

/** Takes the port over. Set `onEnvelopes` before returning to the event loop: frames are delivered from then on. */
export function createPortLink(port: MessagePort, peer: number, options: Partial<LinkOptions> = {}): Link {
  const link = new FramedLink(
    peer,
    {
      post: (frame) => port.postMessage(frame, [frame]),
      close: () => port.close(),
    },
    options,
  );
  port.on('message', (frame: ArrayBuffer) => link.receiveFrame(frame));
  port.on('close', () => link.peerClosed());
  return link;
}
