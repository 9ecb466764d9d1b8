// Messages for actors that are being moved, kept by the sending thread until the move is over. Bounded like a mailbox;
// sent on in the order they came, before anything newer.
//
// States of a hold: held ──release──▶ released ──everything sent──▶ gone. Until then new mail lines up behind.

import type { ActorAddress } from './address.ts';
import { formatAddress } from './address.ts';
import type { Mail } from './mail.ts';
import { mailboxDefaults, Ring } from './mailbox.ts';

/** The largest mailbox of the product holds as much: what a move keeps waiting must not be more. */
export const holdBytesMax = 64 * 1024 * 1024;

export interface Hold {
  readonly address: ActorAddress;
  readonly mails: Ring<Mail>;
  /** Of all that waits. */
  bytes: number;
  epoch: number;
  isReleased: boolean;
}

export class Holds {
  private readonly holds = new Map<string, Hold>();

  get size(): number {
    return this.holds.size;
  }

  get hasReleased(): boolean {
    for (const hold of this.holds.values()) if (hold.isReleased) return true;
    return false;
  }

  /** A later move takes over what an earlier one has not sent yet. */
  begin(address: ActorAddress, epoch: number): void {
    const name = formatAddress(address);
    const hold = this.holds.get(name);
    if (hold === undefined) {
      this.holds.set(name, { address, mails: new Ring<Mail>(), bytes: 0, epoch, isReleased: false });
    } else if (epoch >= hold.epoch) {
      hold.epoch = epoch;
      hold.isReleased = false;
    }
  }

  isHeld(address: ActorAddress): boolean {
    return this.holds.has(formatAddress(address));
  }

  /** False when the buffer is full. */
  keep(address: ActorAddress, mail: Mail): boolean {
    const hold = this.holds.get(formatAddress(address));
    if (hold === undefined || hold.mails.size >= mailboxDefaults.capacity) return false;
    if (hold.mails.size > 0 && hold.bytes + mail.bytes > holdBytesMax) return false;
    hold.mails.push(mail);
    hold.bytes += mail.bytes;
    return true;
  }

  /** Nothing happens when a later move holds the address. */
  release(address: ActorAddress, epoch: number): void {
    const hold = this.holds.get(formatAddress(address));
    if (hold !== undefined && hold.epoch === epoch) hold.isReleased = true;
  }

  released(): Hold[] {
    return [...this.holds.values()].filter((hold) => hold.isReleased);
  }

  /** The first one was sent on. */
  shift(hold: Hold): void {
    hold.bytes -= hold.mails.shift()?.bytes ?? 0;
  }

  end(hold: Hold): void {
    this.holds.delete(formatAddress(hold.address));
  }

  /** Everything, when the thread stops. */
  endAll(): Hold[] {
    const all = [...this.holds.values()];
    this.holds.clear();
    return all;
  }
}
