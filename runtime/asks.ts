// Asks of this thread that wait for an answer. Each has exactly one outcome: the value, a failure, its deadline, or the
// loss of the thread it went to. Deadlines wait in the thread's timers; an answer that comes later is counted, not used.

import type { ActorAddress } from './address.ts';
import { formatAddress } from './address.ts';
import { describe } from './arguments.ts';
import { RuntimeError, stacklessError } from './errors.ts';
import { type Timers, Wait } from './timers.ts';

/** Longest deadline: an hour is already a hang. */
export const askTimeoutMsMax = 3_600_000;

export interface AskOutcome {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class Asks {
  private readonly pending = new Map<number, PendingAsk>();
  private readonly timers: Timers;
  private lastId = 0;
  private late = 0;
  private expired = 0;

  constructor(timers: Timers) {
    this.timers = timers;
  }

  get size(): number {
    return this.pending.size;
  }

  get lateReplies(): number {
    return this.late;
  }

  get timeouts(): number {
    return this.expired;
  }

  /** Throws ASK_WITHOUT_DEADLINE for a timeout that is none. */
  open(to: ActorAddress, timeoutMs: number, outcome: AskOutcome): number {
    checkTimeout(to, timeoutMs);
    const askId = this.nextId();
    const ask = new PendingAsk(this, askId, to, timeoutMs, outcome);
    this.pending.set(askId, ask);
    this.timers.add(ask, timeoutMs);
    return askId;
  }

  /** Remembers the thread an ask went to, so that its loss ends the ask. */
  sentTo(askId: number, peer: number): void {
    const ask = this.pending.get(askId);
    if (ask !== undefined) ask.peer = peer;
  }

  settle(askId: number, value: unknown): void {
    this.take(askId)?.outcome.resolve(value);
  }

  fail(askId: number, error: Error): void {
    this.take(askId)?.outcome.reject(error);
  }

  /** An ask that was never sent. */
  withdraw(askId: number): void {
    const ask = this.pending.get(askId);
    if (ask === undefined) return;
    this.pending.delete(askId);
    this.timers.remove(ask);
  }

  failPeer(peer: number, error: Error): void {
    for (const ask of [...this.pending.values()]) if (ask.peer === peer) this.fail(ask.askId, error);
  }

  failAll(error: Error): void {
    for (const askId of [...this.pending.keys()]) this.fail(askId, error);
  }

  expire(ask: PendingAsk): void {
    this.pending.delete(ask.askId);
    this.expired += 1;
    const text = `expected an answer from ${formatAddress(ask.to)} within ${ask.timeoutMs} ms, got none`;
    ask.outcome.reject(stacklessError('ASK_TIMEOUT', text));
  }

  private take(askId: number): PendingAsk | undefined {
    const ask = this.pending.get(askId);
    if (ask === undefined) {
      this.late += 1;
      return undefined;
    }
    this.pending.delete(askId);
    this.timers.remove(ask);
    return ask;
  }

  /** Ids stay small integers and are used again after two thousand million asks, when nothing old can be pending. */
  private nextId(): number {
    this.lastId = this.lastId === 0x3fff_ffff ? 1 : this.lastId + 1;
    return this.lastId;
  }
}

class PendingAsk extends Wait {
  readonly askId: number;
  readonly to: ActorAddress;
  readonly timeoutMs: number;
  readonly outcome: AskOutcome;
  /** -1 while it is in this thread. */
  peer = -1;
  private readonly asks: Asks;

  constructor(asks: Asks, askId: number, to: ActorAddress, timeoutMs: number, outcome: AskOutcome) {
    super();
    this.asks = asks;
    this.askId = askId;
    this.to = to;
    this.timeoutMs = timeoutMs;
    this.outcome = outcome;
  }

  override expire(): void {
    this.asks.expire(this);
  }
}

function checkTimeout(to: ActorAddress, timeoutMs: unknown): void {
  if (typeof timeoutMs === 'number' && timeoutMs > 0 && timeoutMs <= askTimeoutMsMax) return;
  const expected = `to have a timeoutMs that is a number above 0 and up to ${askTimeoutMsMax}`;
  throw new RuntimeError(
    'ASK_WITHOUT_DEADLINE',
    `expected an ask to ${formatAddress(to)} ${expected}, got ${describe(timeoutMs)}`,
  );
}
