// One message on its way to an actor, in the form it waits in a mailbox: by reference when the sender lives in the same
// thread, as encoded bytes when it came over a link. One class with always the same fields, because everything hot in
// the runtime touches it.

import type { Link } from '../transport/index.ts';
import type { ActorAddress } from './address.ts';

/** A message an actor sent to itself: an outcome or a schedule. */
export interface SelfDelivery {
  /** The incarnation that sent it; no later one may see it. */
  readonly owner: object;
  readonly isCancelled: boolean;
  /** Called once, inside the receiver's slice. */
  takeMessage(): unknown;
}

export class Mail {
  /** By reference; meaningless while `body` is set. */
  message: unknown;
  /** Encoded; decoded inside the receiver's slice, so that its cost is charged to the receiver. */
  body: Uint8Array | undefined;
  /** Undefined when the sender is not an actor. */
  from: ActorAddress | undefined;
  traceparent: string;
  /** 0 = a tell, or already answered. */
  askId = 0;
  /** Epoch ms after which an ask is not worth handling. Undefined and not 0 for tells, so that V8 never boxes a zero. */
  deadlineMs: number | undefined = undefined;
  /** Where the answer goes; undefined = to an asker in this thread. */
  replyTo: Link | undefined = undefined;
  /** A replier was taken: the answer may come after the handler. */
  isDeferred = false;
  /** What it counts against the byte bounds. */
  bytes = 0;
  /** Set for outcomes and schedules: delivered to one incarnation only. */
  self: SelfDelivery | undefined = undefined;

  constructor(message: unknown, from: ActorAddress | undefined, traceparent: string) {
    this.message = message;
    this.body = undefined;
    this.from = from;
    this.traceparent = traceparent;
  }
}

/**
 * Rough weight of a message passed by reference: the payloads directly inside it. Exact bytes would cost an encoding;
 * what bounds are for is many messages or large payloads, and both are seen. Never throws: what cannot be read fails where
 * it is read, in its receiver's hands.
 */
export function weighMessage(message: unknown): number {
  try {
    return weigh(message);
  } catch {
    return unreadableBytes;
  }
}

const unreadableBytes = 32;

function weigh(message: unknown): number {
  if (typeof message === 'string') return message.length;
  if (typeof message !== 'object' || message === null) return 8;
  if (message instanceof Uint8Array) return message.byteLength;
  let bytes = 32;
  for (const value of Object.values(message)) {
    if (typeof value === 'string') bytes += value.length;
    else if (value instanceof Uint8Array) bytes += value.byteLength;
    else bytes += 8;
  }
  return bytes;
}
