// Two bounded rings per actor: `system` for what the runtime and the actor itself send (outcomes, schedules), `user`
// for everybody else. System mail overtakes user mail. Bounded in messages and bytes, never blocking: what does not fit
// is handed back. Mailboxes are borrowed from a pool only while they hold something, so an idle actor has none.

import type { MailboxOptions } from './actor.ts';
import type { Mail } from './mail.ts';

export const mailboxDefaults: Readonly<MailboxOptions> = Object.freeze({
  capacity: 1024,
  bytesMax: 16 * 1024 * 1024,
  overflow: 'reject',
});

/** What an actor may have sent to itself and not handled yet; beyond it the actor is failing, not busy. */
export const systemCapacity = 65_536;
/** Outcomes and schedules may come due together. */
const systemMailMax = 2 * systemCapacity;

/** A growing circular buffer; the bound is the owner's business. */
export class Ring<Item> {
  private slots: (Item | undefined)[];
  private head = 0;
  private count = 0;

  constructor(slots = 8) {
    this.slots = new Array<Item | undefined>(slots).fill(undefined);
  }

  get size(): number {
    return this.count;
  }

  get slotCount(): number {
    return this.slots.length;
  }

  push(item: Item): void {
    if (this.count === this.slots.length) this.grow();
    this.slots[(this.head + this.count) & (this.slots.length - 1)] = item;
    this.count += 1;
  }

  shift(): Item | undefined {
    if (this.count === 0) return undefined;
    const item = this.slots[this.head];
    this.slots[this.head] = undefined;
    this.head = (this.head + 1) & (this.slots.length - 1);
    this.count -= 1;
    return item;
  }

  at(index: number): Item | undefined {
    return index < this.count ? this.slots[(this.head + index) & (this.slots.length - 1)] : undefined;
  }

  private grow(): void {
    const wider = new Array<Item | undefined>(this.slots.length * 2).fill(undefined);
    for (let index = 0; index < this.count; index += 1) wider[index] = this.at(index);
    this.slots = wider;
    this.head = 0;
  }
}

/** What all mailboxes of a thread hold together. */
export interface MailboxBudget {
  messages: number;
  bytes: number;
  bytesMax: number;
}

export class Mailbox {
  private readonly system = new Ring<Mail>();
  private readonly user = new Ring<Mail>();
  private readonly budget: MailboxBudget;
  private userBytes = 0;

  constructor(budget: MailboxBudget) {
    this.budget = budget;
  }

  get size(): number {
    return this.system.size + this.user.size;
  }

  get userSize(): number {
    return this.user.size;
  }

  get bytes(): number {
    return this.userBytes;
  }

  /** Slots held by the rings, for the pool: a mailbox that grew large is not worth keeping. */
  get slotCount(): number {
    return this.system.slotCount + this.user.slotCount;
  }

  /**
   * Undefined when the mail was taken. Otherwise the mail that lost its place: this one, or with `dropOldest` the
   * oldest, and then the caller offers again.
   */
  offer(mail: Mail, options: MailboxOptions): Mail | undefined {
    const { budget, user } = this;
    const bytes = this.userBytes + mail.bytes;
    if (user.size < options.capacity && bytes <= options.bytesMax && budget.bytes + mail.bytes <= budget.bytesMax) {
      user.push(mail);
      this.userBytes = bytes;
      budget.bytes += mail.bytes;
      budget.messages += 1;
      return undefined;
    }
    // What others of the thread hold cannot be made room of: then nothing of this mailbox is given up for it.
    const isHopeless = mail.bytes > options.bytesMax || budget.bytes - this.userBytes + mail.bytes > budget.bytesMax;
    if (options.overflow === 'reject' || user.size === 0 || isHopeless) return mail;
    return this.shiftUser();
  }

  /** False when the actor sent itself more than it can ever be meant to. */
  offerSystem(mail: Mail): boolean {
    if (this.system.size >= systemMailMax) return false;
    this.system.push(mail);
    this.budget.messages += 1;
    return true;
  }

  shift(): Mail | undefined {
    const mail = this.system.shift();
    if (mail === undefined) return this.shiftUser();
    this.budget.messages -= 1;
    return mail;
  }

  /** Takes out the asks that `isLost` picks, keeping the order of the rest: they need an answer now. */
  takeUserMail(isLost: (mail: Mail) => boolean): Mail[] {
    const lost: Mail[] = [];
    for (let left = this.user.size; left > 0; left -= 1) {
      const mail = this.user.shift();
      if (mail === undefined) break;
      if (!isLost(mail)) {
        this.user.push(mail);
        continue;
      }
      this.forget(mail);
      lost.push(mail);
    }
    return lost;
  }

  private shiftUser(): Mail | undefined {
    const mail = this.user.shift();
    if (mail !== undefined) this.forget(mail);
    return mail;
  }

  private forget(mail: Mail): void {
    this.userBytes -= mail.bytes;
    this.budget.bytes -= mail.bytes;
    this.budget.messages -= 1;
  }
}

/** Empty mailboxes for whoever gets a message next. */
export class MailboxPool {
  readonly budget: MailboxBudget;
  private readonly free: Mailbox[] = [];
  private static readonly freeMax = 1024;
  private static readonly slotsMax = 256;

  constructor(bytesMax: number) {
    this.budget = { messages: 0, bytes: 0, bytesMax };
  }

  borrow(): Mailbox {
    return this.free.pop() ?? new Mailbox(this.budget);
  }

  /** The mailbox must be empty. */
  giveBack(mailbox: Mailbox): void {
    if (this.free.length < MailboxPool.freeMax && mailbox.slotCount <= MailboxPool.slotsMax) this.free.push(mailbox);
  }
}
