// A Link inside one thread, for tests and simulation. It takes the same codec and frame path as a port, so nothing is
// shared by reference, and it delivers only when its scheduler runs the task: the simulator decides when that is.

import { FramedLink } from './framed-link.ts';
import type { Link, LinkOptions } from './link.ts';

export interface MemoryLinkOptions {
  /** Ids of the two simulated threads; the first link of the pair lives in the first. */
  threads: readonly [number, number];
  /**
   * Runs `deliver` later, never at once. One task per frame; whatever order the tasks run in, frames of one direction
   * arrive in the order they were posted, so delays cannot reorder a link.
   */
  schedule(deliver: () => void, direction: { from: number; to: number }): void;
  link?: Partial<LinkOptions>;
}

/** The two ends: `links[0]` is held by `threads[0]` and has the peer `threads[1]`. */
export function createMemoryLinks(options: MemoryLinkOptions): readonly [Link, Link] {
  const [left, right] = options.threads;
  const toRight: Channel = { pending: [], receiver: undefined };
  const toLeft: Channel = { pending: [], receiver: undefined };
  const leftLink = createEnd(right, toRight, (task) => options.schedule(task, { from: left, to: right }), options.link);
  const rightLink = createEnd(left, toLeft, (task) => options.schedule(task, { from: right, to: left }), options.link);
  toRight.receiver = rightLink;
  toLeft.receiver = leftLink;
  return [leftLink, rightLink];
}

/** One direction. `undefined` in the queue is the close, which arrives behind the frames posted before it. */
interface Channel {
  pending: (ArrayBuffer | undefined)[];
  receiver: FramedLink | undefined;
}

function createEnd(
  peer: number,
  outgoing: Channel,
  schedule: (deliver: () => void) => void,
  options: Partial<LinkOptions> | undefined,
): FramedLink {
  const deliverNext = () => {
    const frame = outgoing.pending.shift();
    if (frame === undefined) outgoing.receiver?.peerClosed();
    else outgoing.receiver?.receiveFrame(frame);
  };
  const enqueue = (frame: ArrayBuffer | undefined) => {
    outgoing.pending.push(frame);
    schedule(deliverNext);
  };
  return new FramedLink(peer, { post: enqueue, close: () => enqueue(undefined) }, options);
}
