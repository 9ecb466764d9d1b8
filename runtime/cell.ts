// The life-cycle of one actor, which outlives its restarts. Synchronous handlers never leave their slice: no promise
// is made for them.
//
//   idle ──slice──▶ starting ──▶ idle ──message──▶ running ──▶ idle
//                      │                              ├─ returned a promise ──▶ waiting ──▶ idle
//                      └──────── threw ───────────────┴──▶ stopping ──▶ backing-off | parked ──▶ idle (a new incarnation)
//   idle ──passivated, drain, migrating──▶ stopping ──▶ stopped, or idle again when mail came meanwhile
//
// While an actor starts, backs off or is parked its mailbox is not emptied; being bounded, it refuses in the end.

import { textOfError } from '../transport/index.ts';
import type { StopReason } from './actor.ts';
import type { ActorType, CellHost } from './actor-type.ts';
import type { ActorAddress } from './address.ts';
import { open, passOn, takeIn, tellFailure } from './cell-mail.ts';
import { RuntimeError } from './errors.ts';
import { Incarnation, isThenable, whenSettled } from './incarnation.ts';
import type { Mail } from './mail.ts';
import type { Mailbox } from './mailbox.ts';
import type { Schedulable, Slice } from './scheduler.ts';
import { afterResume, type FailureHistory, judgeFailure, type Verdict } from './supervision.ts';
import { CallbackWait } from './timers.ts';

export type CellState = 'idle' | 'starting' | 'running' | 'waiting' | 'stopping' | 'backing-off' | 'parked' | 'stopped';

type OrderlyStop = 'passivated' | 'drain' | 'migrating';

interface StopRequest {
  reason: OrderlyStop;
  /** False = the actor lives on: mail came while it stopped, or it was in no state to move. */
  done(isStopped: boolean): void;
}

export class Cell implements Schedulable {
  readonly type: ActorType;
  readonly address: ActorAddress;
  place = 0;
  state: CellState = 'idle';
  isQueued = false;
  debtUs = 0;
  busyUs = 0;
  /** Whole milliseconds of the monotonic clock. */
  lastActiveMs: number;
  private mailbox: Mailbox | undefined = undefined;
  private incarnation: Incarnation | undefined = undefined;
  private history: FailureHistory | undefined = undefined;
  private pause: CallbackWait | undefined = undefined;
  private stopRequest: StopRequest | undefined = undefined;

  constructor(type: ActorType, key: string, nowMs: number) {
    this.type = type;
    this.address = { kind: type.kind, key };
    this.lastActiveMs = Math.floor(nowMs);
  }

  get host(): CellHost {
    return this.type.host;
  }

  get isInteractive(): boolean {
    return this.type.isInteractive;
  }

  get depth(): number {
    return this.mailbox?.size ?? 0;
  }

  /** Nothing would be lost by ending it now, and it asked for that or has no business before its next message. */
  isPassivable(): boolean {
    const { incarnation } = this;
    if (this.state !== 'idle' || this.isQueued || incarnation === undefined || incarnation.isBusy) return false;
    return incarnation.wantsPassivation || !incarnation.hasSchedules;
  }

  isIdleSince(momentMs: number): boolean {
    if (this.incarnation?.wantsPassivation === true) return true;
    return this.type.idleMs > 0 && this.lastActiveMs + this.type.idleMs <= momentMs;
  }

  /** False = refused, already buried. */
  deliver(mail: Mail): boolean {
    const { host } = this;
    if (this.state === 'parked' && mail.askId !== 0) {
      host.bury(mail, this.address, 'parked');
      return false;
    }
    this.mailbox ??= host.mailboxes.borrow();
    if (!takeIn(this, this.mailbox, mail)) {
      this.releaseMailbox();
      return false;
    }
    if (this.state === 'idle') host.scheduler.enqueue(this);
    return true;
  }

  deliverSelf(mail: Mail): void {
    const owner = mail.self?.owner;
    if (owner !== this.incarnation || this.incarnation?.isEnded === true) {
      this.host.counters.stale += 1;
      return;
    }
    this.mailbox ??= this.host.mailboxes.borrow();
    this.mailbox.offerSystem(mail);
    if (this.state === 'idle') this.host.scheduler.enqueue(this);
  }

  runSlice(slice: Slice): boolean {
    if (this.state === 'idle' && this.incarnation === undefined) this.start();
    while (this.state === 'idle') {
      const mail = this.mailbox?.shift();
      if (mail === undefined) break;
      this.handle(mail);
      if (slice.isSpent()) break;
    }
    this.lastActiveMs = Math.floor(slice.nowMs);
    if (this.state !== 'idle') return false;
    if (this.depth > 0) return true;
    this.releaseMailbox();
    if (this.incarnation?.wantsPassivation === true && !this.incarnation.isBusy) {
      this.requestStop('passivated', () => undefined);
    }
    // It may have been told something while it stopped; then it is not to leave the queue.
    return this.state === 'idle' && this.depth > 0;
  }

  /** Stops after the message in hand; before that, `migrating` handles what is in the mailbox. */
  requestStop(reason: OrderlyStop, done: (isStopped: boolean) => void): void {
    const before = this.stopRequest;
    const announce = (isStopped: boolean): void => {
      before?.done(isStopped);
      done(isStopped);
    };
    if (this.state === 'stopped') {
      done(true);
      return;
    }
    if (this.state === 'backing-off' || this.state === 'parked') {
      if (reason !== 'drain') {
        done(false);
        return;
      }
      this.stopRequest = { reason, done: announce };
      this.finishStop();
      return;
    }
    this.stopRequest = { reason, done: announce };
    if (reason === 'drain') this.incarnation?.abort();
    if (this.state === 'idle') this.continueStop();
  }

  /** True when a move that has not begun to stop the actor was called off. */
  cancelMove(): boolean {
    if (this.stopRequest?.reason !== 'migrating' || this.state === 'stopping') return false;
    this.refuseStop();
    return true;
  }

  private start(): void {
    const { host, type } = this;
    const incarnation = new Incarnation(this);
    this.incarnation = incarnation;
    this.state = 'starting';
    host.counters.started += 1;
    if (this.history !== undefined) this.history = afterResume(this.history, host.clock.monotonicMs());
    let isPending = false;
    try {
      incarnation.behavior = type.definition.create(incarnation);
      const result: unknown = incarnation.behavior.onStart?.();
      if (isThenable(result)) {
        isPending = true;
        whenSettled(
          result,
          () => this.started(incarnation),
          (error) => this.fail(error, undefined),
        );
      }
    } catch (error) {
      this.fail(error, undefined);
      return;
    }
    if (!isPending) this.started(incarnation);
  }

  private started(incarnation: Incarnation): void {
    incarnation.isStarted = true;
    this.becomeIdle();
  }

  private handle(mail: Mail): void {
    const { incarnation } = this;
    const behavior = incarnation?.behavior;
    if (incarnation === undefined || behavior === undefined) return;
    const { self } = mail;
    if (self !== undefined && (self.owner !== incarnation || self.isCancelled)) {
      this.becomeIdle();
      return;
    }
    if (mail.deadlineMs !== undefined && mail.deadlineMs < this.host.clock.nowMs()) {
      this.host.bury(mail, this.address, 'expired');
      this.becomeIdle();
      return;
    }
    if (mail.body !== undefined && !open(this, mail)) {
      this.becomeIdle();
      return;
    }
    this.state = 'running';
    incarnation.current = mail;
    if (mail.traceparent !== '') incarnation.span = this.host.startSpan(mail, this.type.kind);
    try {
      const message = self === undefined ? mail.message : self.takeMessage();
      mail.message = undefined;
      const result: unknown = behavior.onMessage(message as never);
      if (isThenable(result)) {
        this.state = 'waiting';
        whenSettled(
          result,
          () => this.finish(incarnation, mail),
          (error) => this.fail(error, mail),
        );
      }
    } catch (error) {
      this.fail(error, mail);
      return;
    }
    if (this.state === 'running') this.finish(incarnation, mail);
  }

  private finish(incarnation: Incarnation, mail: Mail): void {
    incarnation.current = undefined;
    if (incarnation.span !== undefined) incarnation.endSpan();
    if (mail.askId !== 0 && !mail.isDeferred) {
      const text = `expected ${this.type.kind} to reply, but its handler returned without`;
      this.host.answerFailure(mail, new RuntimeError('HANDLER_FAILED', text));
    }
    this.becomeIdle();
  }

  /** After a synchronous handler the slice goes on by itself; after a promise the cell must be queued again. */
  private becomeIdle(): void {
    this.state = 'idle';
    if (this.stopRequest !== undefined) {
      this.continueStop();
      return;
    }
    if (this.isQueued) return;
    if (this.depth > 0 || this.incarnation?.wantsPassivation === true) this.host.scheduler.enqueue(this);
    else this.releaseMailbox();
  }

  private fail(thrown: unknown, mail: Mail | undefined): void {
    const { host, incarnation } = this;
    const isEnvironment = tellFailure(this, this.state, thrown, mail);
    if (incarnation?.span !== undefined) incarnation.endSpan(textOfError(thrown));
    const verdict = judgeFailure(this.history, this.type.supervision, {
      nowMs: host.clock.monotonicMs(),
      isEnvironment,
      chance: host.random.next(),
    });
    if (verdict.action !== 'stop') this.history = verdict.history;
    this.leave(verdict.action === 'park' ? 'parked' : 'restart', () => this.apply(verdict));
  }

  private apply(verdict: Verdict): void {
    const { host } = this;
    if (this.stopRequest?.reason === 'migrating') this.refuseStop();
    if (this.stopRequest !== undefined) {
      this.finishStop();
      return;
    }
    switch (verdict.action) {
      case 'restart':
        host.counters.restarts += 1;
        this.state = 'backing-off';
        this.resumeAfter(verdict.delayMs);
        return;
      case 'park':
        host.counters.parks += 1;
        this.state = 'parked';
        host.log.error({ ...this.address, parkMs: verdict.parkMs }, 'an actor is parked: it failed too often');
        for (const mail of this.mailbox?.takeUserMail((one) => one.askId !== 0) ?? []) {
          host.bury(mail, this.address, 'parked');
        }
        this.resumeAfter(verdict.parkMs);
        return;
      case 'stop':
        this.stopRequest = { reason: 'drain', done: () => undefined };
        this.finishStop('actor-stopped');
        return;
    }
  }

  /** A failing actor stays where it is: moving its unread mail could let later mail overtake it. */
  private refuseStop(): void {
    const request = this.stopRequest;
    this.stopRequest = undefined;
    request?.done(false);
  }

  private resumeAfter(delayMs: number): void {
    this.pause ??= new CallbackWait(() => {
      this.state = 'idle';
      this.host.scheduler.enqueue(this);
    });
    this.host.timers.add(this.pause, delayMs);
  }

  private continueStop(): void {
    const request = this.stopRequest;
    if (request === undefined) return;
    if (request.reason === 'migrating' && this.depth > 0) {
      this.host.scheduler.enqueue(this);
      return;
    }
    this.leave(request.reason, () => this.finishStop());
  }

  private leave(reason: StopReason, done: () => void): void {
    const { incarnation } = this;
    this.state = 'stopping';
    if (incarnation === undefined) {
      done();
      return;
    }
    incarnation.leave(reason, () => {
      this.incarnation = undefined;
      done();
    });
  }

  private finishStop(leftovers: 'draining' | 'actor-stopped' = 'draining'): void {
    const request = this.stopRequest;
    this.stopRequest = undefined;
    if (this.pause !== undefined) this.host.timers.remove(this.pause);
    if (request?.reason === 'passivated' && this.depth > 0) {
      this.state = 'idle';
      this.host.scheduler.enqueue(this);
      request.done(false);
      return;
    }
    if (request?.reason === 'passivated') this.host.counters.passivated += 1;
    this.state = 'stopped';
    this.host.forget(this.address);
    if (this.mailbox !== undefined) {
      passOn(this, this.mailbox, request?.reason === 'migrating' ? 'moved' : leftovers);
    }
    this.releaseMailbox();
    request?.done(true);
  }

  private releaseMailbox(): void {
    if (this.mailbox === undefined || this.mailbox.size > 0) return;
    this.host.mailboxes.giveBack(this.mailbox);
    this.mailbox = undefined;
  }
}
