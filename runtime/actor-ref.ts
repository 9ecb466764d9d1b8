// A reference to an actor, wherever it lives. It remembers the cell it found in its own thread, so that telling a
// neighbour again and again costs no look-up.

import type { ActorRef, AskOptions, TellOptions } from './actor.ts';
import type { Origin } from './actor-type.ts';
import type { ActorAddress } from './address.ts';
import { checkAddress, invalid } from './arguments.ts';
import type { Cell } from './cell.ts';
import type { Delivery } from './delivery.ts';
import { Mail } from './mail.ts';

export class LocalRef<Message> implements ActorRef<Message> {
  readonly address: ActorAddress;
  /** Last seen in this thread; worthless once it has stopped. */
  cell: Cell | undefined = undefined;
  private readonly delivery: Delivery;
  private readonly origin: Origin | undefined;

  constructor(delivery: Delivery, address: ActorAddress, origin: Origin | undefined) {
    checkAddress(address.kind, address.key);
    this.delivery = delivery;
    this.address = address;
    this.origin = origin;
  }

  tell(message: Message, options?: TellOptions): boolean {
    return this.delivery.send(this, this.createMail(message, options));
  }

  ask<Reply>(message: Message, options: AskOptions): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      this.delivery.ask(this, this.createMail(message, options), options?.timeoutMs, {
        resolve: (value) => resolve(value as Reply),
        reject,
      });
    });
  }

  /** What a log line shows of it. A message cannot hold a reference, but its address. */
  toJSON(): ActorAddress {
    return this.address;
  }

  private createMail(message: Message, options: TellOptions | undefined): Mail {
    const { origin } = this;
    const traceparent = options?.traceparent ?? origin?.traceparent ?? '';
    if (typeof traceparent !== 'string') throw invalid('traceparent', 'a string', traceparent);
    return new Mail(message, origin?.self, traceparent);
  }
}
