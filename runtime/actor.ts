// The public vocabulary of an actor: how one is declared, what it is given, and what it may do.
// An actor is virtual (created on its first message), keyed (address = kind + key) and single-threaded
// (one message at a time, never re-entered). A restart is a fresh `create`, so state lives in its closure.

import type { ActorAddress } from './address.ts';
import { checkDefinition } from './definition-check.ts';
import type { Clock, Random } from './seams.ts';

/** What `onStop` is told. `restart` follows a failed handler; the others are orderly. */
export type StopReason = 'passivated' | 'drain' | 'migrating' | 'restart' | 'parked';

export interface ActorBehavior<Message> {
  /** Runs before the first message. May be async; messages wait (bounded) in the mailbox meanwhile. */
  onStart?(): void | Promise<void>;
  /** One message. A returned promise parks this actor, never its thread. A throw goes to supervision. */
  onMessage(message: Message): void | Promise<void>;
  /** Runs after the last message. `drain` and `passivated` may await; time is bounded by the drain deadline. */
  onStop?(reason: StopReason): void | Promise<void>;
}

export interface SupervisionOptions {
  strategy: 'restart' | 'stop';
  minBackoffMs: number;
  maxBackoffMs: number;
  /** Share of the delay that is random, 0..1. */
  jitter: number;
  /** More restarts than this within `withinMs` park the actor. */
  maxRestarts: number;
  withinMs: number;
  /** This long without a failure resets the backoff. */
  resetAfterMs: number;
  /** First park; doubles up to `parkMsMax`. */
  parkMs: number;
  parkMsMax: number;
}

export interface MailboxOptions {
  /** Messages; default 1,024. */
  capacity: number;
  /** Sum of encoded body bytes; default 16 MiB. */
  bytesMax: number;
  overflow: 'reject' | 'dropOldest';
}

export interface ActorDefinition<Message = unknown> {
  readonly kind: string;
  /** Name of the thread role that hosts this kind: see `ThreadGroup.role` in runtime.ts. */
  readonly role: string;
  readonly mailbox?: Partial<MailboxOptions>;
  readonly supervision?: Partial<SupervisionOptions>;
  /** Idle time before passivation; default 60,000. 0 = never passivated. */
  readonly idleMs?: number;
  /** Weighted 4:1, never strict. Default `batch`. */
  readonly priority?: 'interactive' | 'batch';
  /** What to do when one actor of this kind needs a whole thread; said in the warning about it. */
  readonly remedy?: string;
  create(context: ActorContext<Message>): ActorBehavior<Message>;
}

export interface TellOptions {
  /** W3C traceparent to carry; default: that of the message being handled. */
  traceparent?: string;
}

export interface AskOptions extends TellOptions {
  /** Mandatory: an ask without a deadline is a hang that has not happened yet. */
  timeoutMs: number;
}

export interface ActorRef<Message> {
  readonly address: ActorAddress;
  /** At most once. False = refused here (mailbox or link full, draining); it was already counted as a dead letter. */
  tell(message: Message, options?: TellOptions): boolean;
  /** Rejects with RuntimeError: ASK_TIMEOUT, MAILBOX_FULL, ACTOR_PARKED, THREAD_LOST, LINK_OVERLOADED, DRAINING, HANDLER_FAILED. */
  ask<Reply>(message: Message, options: AskOptions): Promise<Reply>;
}

export interface ActorLog {
  debug(fields: Record<string, unknown>, text: string): void;
  info(fields: Record<string, unknown>, text: string): void;
  warn(fields: Record<string, unknown>, text: string): void;
  error(fields: Record<string, unknown>, text: string): void;
}

/** Answers one ask, at any later time, at most once. A no-op when the message was a tell. */
export interface Replier {
  /** Epoch ms from which on the asker does not wait any more; infinite for a tell. */
  readonly deadlineMs: number;
  reply(value: unknown): void;
  fail(error: Error): void;
}

export interface ActorContext<Message> {
  readonly self: ActorAddress;
  readonly key: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: ActorLog;
  /** Aborted when the actor begins to stop, for whatever reason: cancel sleeps and requests with it. */
  readonly signal: AbortSignal;
  /** traceparent of the message being handled, or undefined. */
  readonly traceparent: string | undefined;
  ref<Other>(kind: string, key: string): ActorRef<Other>;
  /** Answers the message being handled. */
  reply(value: unknown): void;
  /** For answers that come after the handler returned (group commit). Capture inside the handler. */
  replier(): Replier;
  /** The outcome of `promise` comes back as a message to this very incarnation; dropped if it was replaced meanwhile. */
  pipeToSelf<Value>(promise: Promise<Value>, toMessage: (outcome: Outcome<Value>) => Message): void;
  /** One timer per name; scheduling again replaces it. The message is delivered to this incarnation only. */
  schedule(name: string, delayMs: number, message: Message): void;
  cancel(name: string): void;
  /** Ask to be passivated once the mailbox is empty. */
  passivate(): void;
}

export type Outcome<Value> = { ok: true; value: Value } | { ok: false; error: Error };

/** Declares an actor type: checks the definition, throwing INVALID_ARGUMENT with all that is wrong, and freezes it. */
export function defineActor<Message>(definition: ActorDefinition<Message>): ActorDefinition<Message> {
  checkDefinition(definition);
  return Object.freeze(definition);
}
