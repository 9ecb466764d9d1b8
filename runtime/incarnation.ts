// One life of an actor, from `create` to `onStop`: what it is given as its context, and everything that must not outlive
// it (timers, outcomes under way, unanswered asks). A restart replaces the incarnation, the cell stays.

import { strict as assert } from 'node:assert';
import type { ActorBehavior, ActorContext, ActorLog, ActorRef, Outcome, Replier, StopReason } from './actor.ts';
import type { CellHost } from './actor-type.ts';
import type { ActorAddress } from './address.ts';
import { checkDelay, invalid } from './arguments.ts';
import { RuntimeError, soundError, toAskError } from './errors.ts';
import { Mail, type SelfDelivery } from './mail.ts';
import { systemCapacity } from './mailbox.ts';
import type { Clock, Random } from './seams.ts';
import type { SpanHandle } from './telemetry.ts';
import { CallbackWait, Wait } from './timers.ts';

/** `onStop` may await this long, then life goes on without it. A drain has its own, usually shorter, deadline. */
export const stopMsMax = 10_000;

/** The cell as its incarnation sees it. */
export interface Dwelling {
  readonly address: ActorAddress;
  readonly host: CellHost;
  deliverSelf(mail: Mail): void;
}

export class Incarnation implements ActorContext<unknown> {
  behavior: ActorBehavior<never> | undefined = undefined;
  /** The message being handled. */
  current: Mail | undefined = undefined;
  span: SpanHandle | undefined = undefined;
  /** `onStart` succeeded; only then is there something for `onStop` to undo. */
  isStarted = false;
  isEnded = false;
  wantsPassivation = false;
  private pipes = 0;
  private readonly dwelling: Dwelling;
  private aborter: AbortController | undefined = undefined;
  private schedules: Map<string, Schedule> | undefined = undefined;
  private repliers: Set<Mail> | undefined = undefined;
  private ownLog: ActorLog | undefined = undefined;

  constructor(dwelling: Dwelling) {
    this.dwelling = dwelling;
  }

  get self(): ActorAddress {
    return this.dwelling.address;
  }

  get key(): string {
    return this.dwelling.address.key;
  }

  get clock(): Clock {
    return this.dwelling.host.clock;
  }

  get random(): Random {
    return this.dwelling.host.random;
  }

  get log(): ActorLog {
    this.ownLog ??= logOf(this.dwelling);
    return this.ownLog;
  }

  get signal(): AbortSignal {
    this.aborter ??= new AbortController();
    if (this.isEnded && !this.aborter.signal.aborted) this.aborter.abort();
    return this.aborter.signal;
  }

  get traceparent(): string | undefined {
    const carried = this.current?.traceparent ?? '';
    return carried === '' ? undefined : carried;
  }

  /** Outcomes under way or asks unanswered: ending now would lose them. */
  get isBusy(): boolean {
    return this.pipes > 0 || (this.repliers !== undefined && this.repliers.size > 0);
  }

  get hasSchedules(): boolean {
    return this.schedules !== undefined && this.schedules.size > 0;
  }

  ref<Other>(kind: string, key: string): ActorRef<Other> {
    return this.dwelling.host.createRef(kind, key, this);
  }

  reply(value: unknown): void {
    const mail = this.current;
    if (mail === undefined || mail.askId === 0) return;
    this.repliers?.delete(mail);
    this.dwelling.host.answer(mail, value);
  }

  replier(): Replier {
    const mail = this.current;
    if (mail === undefined || mail.askId === 0) return silentReplier;
    mail.isDeferred = true;
    this.repliers ??= new Set();
    this.repliers.add(mail);
    return {
      deadlineMs: mail.deadlineMs ?? Number.POSITIVE_INFINITY,
      reply: (value) => {
        this.repliers?.delete(mail);
        this.dwelling.host.answer(mail, value);
      },
      fail: (error) => {
        this.repliers?.delete(mail);
        this.dwelling.host.answerFailure(mail, toAskError(error));
      },
    };
  }

  pipeToSelf<Value>(promise: Promise<Value>, toMessage: (outcome: Outcome<Value>) => unknown): void {
    assert(this.pipes < systemCapacity, `expected at most ${systemCapacity} outcomes under way`);
    if (!isThenable(promise)) throw invalid('promise', 'a promise', promise);
    const traceparent = this.current?.traceparent ?? '';
    const deliver = (outcome: Outcome<Value>): void => {
      const takeMessage = (): unknown => {
        this.pipes -= 1;
        return toMessage(outcome);
      };
      this.deliverSelf({ owner: this, isCancelled: false, takeMessage }, traceparent);
    };
    whenSettled(
      promise,
      (value) => deliver({ ok: true, value: value as Value }),
      (error) => deliver({ ok: false, error: soundError(error) }),
    );
    this.pipes += 1;
  }

  schedule(name: string, delayMs: number, message: unknown): void {
    checkDelay(`the delay of schedule ${JSON.stringify(name)}`, delayMs);
    if (this.isEnded) return;
    this.cancel(name);
    this.schedules ??= new Map();
    assert(this.schedules.size < systemCapacity, `expected at most ${systemCapacity} schedules`);
    const schedule = new Schedule(this, name, message);
    this.schedules.set(name, schedule);
    this.dwelling.host.timers.add(schedule, delayMs);
  }

  cancel(name: string): void {
    const schedule = this.schedules?.get(name);
    if (schedule === undefined) return;
    schedule.isCancelled = true;
    this.schedules?.delete(name);
    this.dwelling.host.timers.remove(schedule);
  }

  passivate(): void {
    this.wantsPassivation = true;
  }

  /** For a schedule whose message is about to be handled. */
  forgetSchedule(name: string): void {
    this.schedules?.delete(name);
  }

  deliverSelf(delivery: SelfDelivery, traceparent: string): void {
    const mail = new Mail(undefined, undefined, traceparent);
    mail.self = delivery;
    this.dwelling.deliverSelf(mail);
  }

  abort(): void {
    this.aborter ??= new AbortController();
    this.aborter.abort();
  }

  /** From now on nothing comes back to this incarnation; until `onStop` is over it may still answer its asks. */
  leave(reason: StopReason, done: () => void): void {
    this.isEnded = true;
    this.aborter?.abort();
    for (const name of [...(this.schedules?.keys() ?? [])]) this.cancel(name);
    const { host, address } = this.dwelling;
    const left = (failure?: Failure): void => {
      if (failure !== undefined) {
        const error = soundError(failure.error);
        host.log.warn({ kind: address.kind, key: address.key, reason, error }, 'onStop failed; going on without it');
      }
      this.failRepliers(`${address.kind} ended (${reason}) before it answered`);
      done();
    };
    if (!this.isStarted) {
      left();
      return;
    }
    let isPending = false;
    try {
      const result: unknown = this.behavior?.onStop?.(reason);
      if (isThenable(result)) {
        isPending = true;
        settleWithin(result, host, left);
      }
    } catch (error) {
      left({ error });
      return;
    }
    if (!isPending) left();
  }

  endSpan(error?: string): void {
    this.span?.end(error === undefined ? undefined : { error });
    this.span = undefined;
  }

  /** Nobody is left hanging: what the dead incarnation was asked and did not answer has failed. */
  private failRepliers(text: string): void {
    for (const mail of this.repliers ?? []) {
      this.dwelling.host.answerFailure(mail, new RuntimeError('HANDLER_FAILED', text));
    }
    this.repliers = undefined;
  }
}

/** Looks at it once; what a hostile `then` throws comes out here. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/**
 * Calls exactly one of the two, once and never at once, whatever the thenable does: a promise of the language is trusted,
 * anything else is resolved into one.
 */
export function whenSettled(
  value: PromiseLike<unknown>,
  fulfilled: (value: unknown) => void,
  rejected: (error: unknown) => void,
): void {
  const promise = value instanceof Promise ? value : new Promise((resolve) => resolve(value));
  promiseThen.call(promise, fulfilled, rejected);
}

const promiseThen = Promise.prototype.then;

/** Whatever was thrown, `undefined` too. */
interface Failure {
  readonly error: unknown;
}

/** Calls back once: when the promise ends, or when it had its time. */
function settleWithin(promise: PromiseLike<unknown>, host: CellHost, settled: (failure?: Failure) => void): void {
  let isOver = false;
  const over = (failure?: Failure): void => {
    if (isOver) return;
    isOver = true;
    host.timers.remove(limit);
    settled(failure);
  };
  const limit = new CallbackWait(() => over({ error: new Error(`expected onStop to end within ${stopMsMax} ms`) }));
  whenSettled(
    promise,
    () => over(),
    (error) => over({ error }),
  );
  host.timers.add(limit, stopMsMax);
}

const silentReplier: Replier = Object.freeze({
  deadlineMs: Number.POSITIVE_INFINITY,
  reply: () => undefined,
  fail: () => undefined,
});

class Schedule extends Wait implements SelfDelivery {
  isCancelled = false;
  readonly owner: Incarnation;
  private readonly name: string;
  private readonly message: unknown;

  constructor(owner: Incarnation, name: string, message: unknown) {
    super();
    this.owner = owner;
    this.name = name;
    this.message = message;
  }

  override expire(): void {
    this.owner.deliverSelf(this, '');
  }

  takeMessage(): unknown {
    this.owner.forgetSchedule(this.name);
    return this.message;
  }
}

function logOf({ address, host }: Dwelling): ActorLog {
  const named = (fields: Record<string, unknown>) => ({ kind: address.kind, key: address.key, ...fields });
  return {
    debug: (fields, text) => host.log.debug(named(fields), text),
    info: (fields, text) => host.log.info(named(fields), text),
    warn: (fields, text) => host.log.warn(named(fields), text),
    error: (fields, text) => host.log.error(named(fields), text),
  };
}
