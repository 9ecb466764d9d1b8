// Brings messages to where they belong: to a cell of this thread, or as an envelope over the link to the thread that owns
// the receiver. Whatever cannot be brought becomes a dead letter, and if somebody waits for an answer to it, a typed error.

import type { Envelope, Link } from '../transport/index.ts';
import type { ActorAddress } from './address.ts';
import { formatAddress } from './address.ts';
import { Answers, type AnswersParts } from './answers.ts';
import type { AskOutcome } from './asks.ts';
import type { Cell } from './cell.ts';
import { codeByReason, type DeadLetterReason } from './dead-letters.ts';
import { codeOf, encodeMessage, envelopeTo } from './envelopes.ts';
import { asError, asRuntimeError, RuntimeError, stacklessError } from './errors.ts';
import type { Holds } from './holds.ts';
import { Mail } from './mail.ts';
import type { Placement } from './placement.ts';
import type { Registry } from './registry.ts';
import type { Clock } from './seams.ts';

/** A reference as delivery sees it: an address, and the cell it was last found in when that is in this thread. */
export interface Target {
  readonly address: ActorAddress;
  cell: Cell | undefined;
}

export interface DeliveryParts extends AnswersParts {
  threadId: number;
  roles: ReadonlyMap<string, string>;
  clock: Clock;
  holds: Holds;
  registry: Registry;
  /** Whether an actor of this kind may still be made here. */
  admits(isInteractive: boolean): boolean;
  /** A fence of a move arrived. */
  fenced(address: ActorAddress, epoch: number, peer: number): void;
}

const emptyBody = new Uint8Array(0);
const relayTimeoutMsMin = 1;

export class Delivery {
  readonly links = new Map<number, Link>();
  /** `open`: everything goes. `draining`: only what actors send. `closed`: nothing. */
  state: 'open' | 'draining' | 'closed' = 'open';
  /** Undefined until the first table comes: then every known kind lives here. */
  placement: Placement | undefined = undefined;
  readonly answers: Answers;
  private readonly parts: DeliveryParts;

  constructor(parts: DeliveryParts) {
    this.parts = parts;
    this.answers = new Answers(parts);
  }

  /** False = refused, already buried. Throws for a kind nobody knows and for what cannot be encoded. */
  send(ref: Target, mail: Mail): boolean {
    const { cell } = ref;
    if (cell !== undefined && cell.state !== 'stopped' && this.state === 'open' && this.parts.holds.size === 0) {
      return this.deliverHere(cell, mail);
    }
    if (this.state === 'closed' || (this.state === 'draining' && mail.from === undefined)) {
      this.bury(mail, ref.address, this.state === 'closed' ? 'stopped' : 'draining');
      return false;
    }
    return this.route(ref.address, mail, ref);
  }

  ask(ref: Target, mail: Mail, timeoutMs: number, outcome: AskOutcome): void {
    try {
      const { askChain, asks } = this.parts;
      const watched =
        askChain === undefined || mail.from === undefined ? outcome : askChain.watch(mail.from, ref.address, outcome);
      mail.askId = asks.open(ref.address, timeoutMs, watched);
      mail.deadlineMs = this.parts.clock.nowMs() + timeoutMs;
      this.send(ref, mail);
    } catch (error) {
      if (mail.askId !== 0) this.parts.asks.fail(mail.askId, asError(error));
      else outcome.reject(asError(error));
    }
  }

  receive(link: Link, envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      switch (envelope.type) {
        case 'message':
          this.receiveMessage(link, envelope);
          break;
        case 'reply':
          this.answers.receiveReply(envelope);
          break;
        case 'failure':
          this.answers.receiveFailure(envelope);
          break;
        case 'system':
          this.parts.fenced({ kind: envelope.toKind, key: envelope.toKey }, envelope.askId, link.peer);
          break;
      }
    }
  }

  bury(mail: Mail, to: ActorAddress, reason: DeadLetterReason, error?: RuntimeError): void {
    this.parts.deadLetters.add({ reason, to, from: mail.from, wasAsk: mail.askId !== 0 });
    if (reason === 'expired') this.answers.close(mail);
    if (mail.askId === 0) return;
    const text = `expected ${formatAddress(to)} to take an ask, but it was refused: ${reason}`;
    this.answers.fail(mail, error ?? stacklessError(codeByReason[reason], text));
  }

  /**
   * Like `send`, for mail that was accepted before: nobody hears an exception any more. What arrives at the owner amid a
   * move was sent before its sender's fence, and goes before all that this sender holds back.
   */
  reroute(mail: Mail, to: ActorAddress, isArrival = false): void {
    try {
      if (isArrival && this.ownerOf(to) === this.parts.threadId) this.routeUnheld(to, mail, undefined);
      else this.route(to, mail, undefined);
    } catch (error) {
      const failure = asError(error);
      const isUnknown = failure instanceof RuntimeError && failure.code === 'UNKNOWN_KIND';
      this.bury(
        mail,
        to,
        isUnknown ? 'unknown-kind' : 'undecodable',
        new RuntimeError(codeOf(failure), failure.message),
      );
    }
  }

  /**
   * Sends what was held for actors whose move is over, in order, as fast as the links take it: what does not fit stays
   * held, and newer mail behind it. True = all is gone.
   */
  flushHolds(): boolean {
    for (const hold of this.parts.holds.released()) {
      while (hold.mails.size > 0) {
        const mail = hold.mails.at(0);
        if (mail === undefined || !this.sendHeld(hold.address, mail)) break;
        this.parts.holds.shift(hold);
      }
      if (hold.mails.size === 0) this.parts.holds.end(hold);
    }
    return !this.parts.holds.hasReleased;
  }

  private sendHeld(address: ActorAddress, mail: Mail): boolean {
    try {
      const owner = this.ownerOf(address);
      const link = owner === undefined ? undefined : this.links.get(owner);
      if (link !== undefined) return this.offerOver(link, address, mail);
      this.routeUnheld(address, mail, undefined);
    } catch (error) {
      this.bury(mail, address, 'undecodable', new RuntimeError('NOT_SERIALIZABLE', asError(error).message));
    }
    return true;
  }

  ownerOf(address: ActorAddress): number | undefined {
    const { registry, roles, threadId } = this.parts;
    const type = registry.typeOf(address.kind);
    const role = type?.role ?? roles.get(address.kind);
    if (role === undefined) {
      throw new RuntimeError('UNKNOWN_KIND', `expected a defined kind of actor, got ${JSON.stringify(address.kind)}`);
    }
    if (this.placement === undefined) return type === undefined ? undefined : threadId;
    return this.placement.ownerOf(role, address.kind, address.key);
  }

  /** False when the link would not take it. */
  sendFence(owner: number, address: ActorAddress, epoch: number): boolean {
    return this.links.get(owner)?.send(envelopeTo('system', address, epoch, emptyBody)) ?? false;
  }

  private route(address: ActorAddress, mail: Mail, ref: Target | undefined): boolean {
    const { holds } = this.parts;
    if (holds.size === 0 || !holds.isHeld(address)) return this.routeUnheld(address, mail, ref);
    return this.keepHeld(address, mail) || this.refuse(mail, address, 'mailbox-full');
  }

  private routeUnheld(address: ActorAddress, mail: Mail, ref: Target | undefined): boolean {
    const { registry, threadId } = this.parts;
    const resident = registry.find(address.kind, address.key);
    if (resident !== undefined) {
      if (ref !== undefined) ref.cell = resident;
      return this.deliverHere(resident, mail);
    }
    const owner = this.ownerOf(address);
    if (owner === undefined) return this.refuse(mail, address, 'thread-lost');
    if (owner !== threadId) return this.sendOver(owner, address, mail);
    const type = registry.typeOf(address.kind);
    if (type === undefined) {
      throw new RuntimeError('UNKNOWN_KIND', `expected thread ${threadId} to define ${JSON.stringify(address.kind)}`);
    }
    if (!this.parts.admits(type.isInteractive)) return this.refuse(mail, address, 'draining');
    const cell = registry.create(type, address.key);
    if (ref !== undefined) ref.cell = cell;
    return this.deliverHere(cell, mail);
  }

  private keepHeld(address: ActorAddress, mail: Mail): boolean {
    if (mail.body === undefined) {
      mail.body = encodeMessage(mail.message);
      mail.bytes = mail.body.byteLength;
      mail.message = undefined;
    }
    return this.parts.holds.keep(address, mail);
  }

  private refuse(mail: Mail, address: ActorAddress, reason: DeadLetterReason): boolean {
    this.bury(mail, address, reason);
    return false;
  }

  private deliverHere(cell: Cell, mail: Mail): boolean {
    if (this.parts.serializeLocalMessages && mail.body === undefined) {
      mail.body = encodeMessage(mail.message);
      mail.bytes = mail.body.byteLength;
      mail.message = undefined;
    }
    return cell.deliver(mail);
  }

  private sendOver(owner: number, address: ActorAddress, mail: Mail): boolean {
    const link = this.links.get(owner);
    if (link === undefined) return this.refuse(mail, address, 'thread-lost');
    return this.offerOver(link, address, mail) || this.refuse(mail, address, 'link-overloaded');
  }

  /** False when the link is full; the mail is as it was. */
  private offerOver(link: Link, address: ActorAddress, mail: Mail): boolean {
    const body = mail.body ?? encodeMessage(mail.message);
    const askId = mail.replyTo === undefined ? mail.askId : this.openRelay(mail, address);
    const envelope = envelopeTo('message', address, askId, body);
    if (mail.from !== undefined) {
      envelope.fromKind = mail.from.kind;
      envelope.fromKey = mail.from.key;
    }
    envelope.deadlineMs = mail.deadlineMs ?? 0;
    envelope.traceparent = mail.traceparent;
    const { askChain } = this.parts;
    if (askChain !== undefined && askId !== 0 && mail.from !== undefined) {
      envelope.askChain = askChain.waitersOf(mail.from);
    }
    let isSent = false;
    try {
      isSent = link.send(envelope);
    } catch (error) {
      throw asRuntimeError(error);
    } finally {
      if (!isSent && mail.replyTo !== undefined) this.parts.asks.withdraw(askId);
    }
    if (isSent && askId !== 0) this.parts.asks.sentTo(askId, link.peer);
    return isSent;
  }

  /** An ask that came over a link and goes on over another: its answer comes back the same way. */
  private openRelay(mail: Mail, address: ActorAddress): number {
    if (mail.askId === 0) return 0;
    const leftMs = (mail.deadlineMs ?? 0) - this.parts.clock.nowMs();
    return this.parts.asks.open(address, Math.max(leftMs, relayTimeoutMsMin), {
      resolve: (value) => this.answers.answer(mail, value),
      reject: (error) => this.answers.fail(mail, error),
    });
  }

  private receiveMessage(link: Link, envelope: Envelope): void {
    const from = envelope.fromKind === '' ? undefined : { kind: envelope.fromKind, key: envelope.fromKey };
    const mail = new Mail(undefined, from, envelope.traceparent);
    mail.body = envelope.body;
    mail.bytes = envelope.body.byteLength;
    if (envelope.askId !== 0) {
      mail.askId = envelope.askId;
      mail.deadlineMs = envelope.deadlineMs;
      mail.replyTo = link;
      if (!this.admitAsk(mail, envelope)) return;
    }
    const resident = this.parts.registry.find(envelope.toKind, envelope.toKey);
    if (resident !== undefined && this.parts.holds.size === 0) resident.deliver(mail);
    else if (this.state === 'closed') this.bury(mail, { kind: envelope.toKind, key: envelope.toKey }, 'stopped');
    else this.reroute(mail, { kind: envelope.toKind, key: envelope.toKey }, true);
  }

  /** False: the asker would wait for itself, and was told so. */
  private admitAsk(mail: Mail, { toKind, toKey, askChain: waiters }: Envelope): boolean {
    const { askChain } = this.parts;
    if (askChain === undefined || mail.from === undefined) return true;
    try {
      askChain.admit(mail, mail.from, { kind: toKind, key: toKey }, waiters);
      return true;
    } catch (error) {
      this.answers.fail(mail, asError(error));
      return false;
    }
  }
}
