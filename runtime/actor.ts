// The public vocabulary of an actor: how one is declared, what it is given, and what it may do.
// An actor is virtual (created on its first message), keyed (address = kind + key) and single-threaded
// (one message at a time, never re-entered). A restart is a fresh `create`, so state lives in its closure.

import type { ActorAddress } from './address.ts';
import { checkDefinition } from './definition-check.ts';
import type { Clock, Random } from './seams.ts';

/**
 * What `onStop` is told. `restart` and `parked` follow a failure, and unread messages wait for the next incarnation;
 * `passivated`, `drain` and `migrating` are orderly. State is lost each time, also by a move: nothing is carried over but
 * the mailbox, and `onStart` of the next incarnation reads again what it needs.
 */
export type StopReason = 'passivated' | 'drain' | 'migrating' | 'restart' | 'parked';

export interface ActorBehavior<Message> {
  /**
   * Runs before the first message. May be async; messages wait (bounded) in the mailbox meanwhile. It has no deadline of
   * its own: give its waits one. A throw or rejection is a failure like that of a handler.
   */
  onStart?(): void | Promise<void>;
  /**
   * One message. Until a returned promise settles this actor waits, never its thread. A throw or rejection, whatever it
   * is, goes to supervision: the ask it belongs to, and all that were not answered yet, reject with HANDLER_FAILED.
   */
  onMessage(message: Message): void | Promise<void>;
  /**
   * Runs after the last message, unless `onStart` failed. May await, for at most 10 seconds or, in a drain, until its
   * deadline; then life goes on without it. Messages that come meanwhile wait: passivated, they start the actor again;
   * moved, they follow it; drained, they are refused. A throw is logged, and the end goes on. `reply`, `tell` and `ask`
   * work in it, `schedule` and `pipeToSelf` lead nowhere.
   */
  onStop?(reason: StopReason): void | Promise<void>;
}

/**
 * What happens after a failure, to this actor alone. An error with `environment: true` or `retryable: true` says that
 * something outside is broken: then the actor backs off, but is never parked or stopped for it.
 */
export interface SupervisionOptions {
  /** Default `restart`. `stop` ends the actor, with what is in its mailbox; the next message makes a new one. */
  strategy: 'restart' | 'stop';
  /** First delay before a restart, default 200; doubles with each failure. */
  minBackoffMs: number;
  /** Default 30,000. */
  maxBackoffMs: number;
  /** Share of the delay that is random, 0..1; default 0.2. */
  jitter: number;
  /** More restarts than this within `withinMs` park the actor; default 5 in 60,000. */
  maxRestarts: number;
  withinMs: number;
  /** This long without a failure resets the backoff and the parks; default 60,000. */
  resetAfterMs: number;
  /** First park, default 300,000; doubles up to `parkMsMax`, default 3,600,000. Asks fail at once meanwhile, tells wait. */
  parkMs: number;
  parkMsMax: number;
}

export interface MailboxOptions {
  /** Messages; default 1,024. */
  capacity: number;
  /** Sum of encoded body bytes; default 16 MiB. Messages by reference are weighed roughly, and only in a long queue. */
  bytesMax: number;
  /** Default `reject`. */
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

/**
 * A way to an actor, wherever it lives, alive or not. Messages and answers are plain data: null, undefined, booleans,
 * numbers, strings, bigints of 64 bits, Dates, Uint8Arrays, and arrays and plain objects of these. To an actor of the same
 * thread they go by reference, so neither side may write into them any more; to another thread they go encoded, and what
 * is no plain data is refused with NOT_SERIALIZABLE. Tests encode always (`serializeLocalMessages`). A reference is no
 * plain data: send its `address`.
 */
export interface ActorRef<Message> {
  readonly address: ActorAddress;
  /**
   * At most once, in order with all that the same sender tells the same receiver. False = refused here (mailbox or link
   * full, draining); it was already counted as a dead letter. True is no promise: what is lost later (with its thread, by
   * a failed handler, in a drain) is a dead letter there. Throws RuntimeError for what can never succeed: UNKNOWN_KIND,
   * NOT_SERIALIZABLE, BODY_TOO_LARGE, INVALID_ARGUMENT.
   */
  tell(message: Message, options?: TellOptions): boolean;
  /**
   * Never throws; rejects with a RuntimeError, always, and at `timeoutMs` at the latest. Its `code` is one of
   * `RuntimeErrorCode`, or that of the error the actor answered with by `Replier.fail`; `retryable` says whether the same
   * ask may succeed later.
   */
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
  /** `code`, `message` (cut after 4,096 characters) and `retryable` reach the asker, also in another thread. */
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
  /**
   * The outcome of `promise` comes back as a message to this very incarnation, ahead of what others sent; dropped if it
   * was replaced meanwhile. `toMessage` runs in the actor's slice, right before its message is handled.
   */
  pipeToSelf<Value>(promise: Promise<Value>, toMessage: (outcome: Outcome<Value>) => Message): void;
  /**
   * One timer per name; scheduling again replaces it. The message is delivered to this incarnation only. Throws
   * INVALID_ARGUMENT for a delay that is no finite number of milliseconds, 0 or more.
   */
  schedule(name: string, delayMs: number, message: Message): void;
  cancel(name: string): void;
  /** Ask to be passivated once the mailbox is empty, all asks are answered and all outcomes are back. */
  passivate(): void;
}

export type Outcome<Value> = { ok: true; value: Value } | { ok: false; error: Error };

/** Declares an actor type: checks the definition, throwing INVALID_ARGUMENT with all that is wrong, and freezes it. */
export function defineActor<Message>(definition: ActorDefinition<Message>): ActorDefinition<Message> {
  checkDefinition(definition);
  return Object.freeze(definition);
}
