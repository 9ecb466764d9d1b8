// Where messages go that reach nobody: counted by reason, published on a diagnostics channel, and logged a few times a
// minute; at a stop, where they belong to the order of things, only for who looks closely. Only headers are ever shown: a body may hold personal data.

import { channel } from 'node:diagnostics_channel';
import type { ActorLog } from './actor.ts';
import type { ActorAddress } from './address.ts';
import { formatAddress } from './address.ts';
import type { RuntimeErrorCode } from './errors.ts';
import type { Clock } from './seams.ts';

export const deadLetterChannel = 'sluice.dead-letter';

export type DeadLetterReason =
  | 'mailbox-full'
  | 'dropped-oldest'
  | 'handler-failed'
  | 'expired'
  | 'parked'
  | 'draining'
  | 'stopped'
  | 'actor-stopped'
  | 'thread-lost'
  | 'link-overloaded'
  | 'undecodable'
  | 'unknown-kind'
  | 'reply-lost';

/** What an asker is told when its message became a dead letter. */
export const codeByReason: Readonly<Record<DeadLetterReason, RuntimeErrorCode>> = Object.freeze({
  'mailbox-full': 'MAILBOX_FULL',
  'dropped-oldest': 'MAILBOX_FULL',
  'handler-failed': 'HANDLER_FAILED',
  expired: 'ASK_TIMEOUT',
  parked: 'ACTOR_PARKED',
  draining: 'DRAINING',
  stopped: 'STOPPED',
  'actor-stopped': 'HANDLER_FAILED',
  'thread-lost': 'THREAD_LOST',
  'link-overloaded': 'LINK_OVERLOADED',
  undecodable: 'NOT_SERIALIZABLE',
  'unknown-kind': 'UNKNOWN_KIND',
  'reply-lost': 'LINK_OVERLOADED',
});

export interface DeadLetter {
  reason: DeadLetterReason;
  to: ActorAddress;
  from: ActorAddress | undefined;
  wasAsk: boolean;
}

/** So many lines a minute, then silence with a count at the end of it. */
export const logLinesPerMinute = 10;

export class DeadLetters {
  readonly counts: Partial<Record<DeadLetterReason, number>> = {};
  private readonly channel = channel(deadLetterChannel);
  private readonly log: ActorLog;
  private readonly limit: LogLimit;

  constructor(clock: Clock, log: ActorLog) {
    this.log = log;
    this.limit = new LogLimit(clock, logLinesPerMinute);
  }

  add(letter: DeadLetter): void {
    this.counts[letter.reason] = (this.counts[letter.reason] ?? 0) + 1;
    if (this.channel.hasSubscribers) this.channel.publish(letter);
    const silenced = this.limit.admit();
    if (silenced < 0) return;
    const { reason, to, from, wasAsk } = letter;
    const fields = {
      reason,
      to: formatAddress(to),
      wasAsk,
      ...(from === undefined ? {} : { from: formatAddress(from) }),
      ...(silenced > 0 ? { silenced } : {}),
    };
    // What still comes while actors stop is handed out again after the next start: nothing to be alarmed about.
    const isStopping = reason === 'draining' || reason === 'stopped';
    this.log[isStopping ? 'debug' : 'warn'](fields, 'dead letter');
  }
}

/** Counts lines per minute; never remembers what they said. */
export class LogLimit {
  private readonly clock: Clock;
  private readonly linesMax: number;
  private minute = Number.NEGATIVE_INFINITY;
  private lines = 0;
  private silenced = 0;

  constructor(clock: Clock, linesMax: number) {
    this.clock = clock;
    this.linesMax = linesMax;
  }

  /** -1 = stay silent; otherwise how many lines were kept back since the last one that was admitted. */
  admit(): number {
    const minute = Math.floor(this.clock.monotonicMs() / 60_000);
    if (minute !== this.minute) {
      this.minute = minute;
      this.lines = 0;
    }
    if (this.lines >= this.linesMax) {
      this.silenced += 1;
      return -1;
    }
    this.lines += 1;
    const { silenced } = this;
    this.silenced = 0;
    return silenced;
  }
}
