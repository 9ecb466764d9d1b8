// A definition with its defaults filled in, and what a cell needs from the thread it lives in. Shared by all actors of
// a kind, so that an actor itself stays small.

import type { ActorDefinition, ActorLog, ActorRef, MailboxOptions, SupervisionOptions } from './actor.ts';
import type { ActorAddress } from './address.ts';
import type { DeadLetterReason } from './dead-letters.ts';
import type { RuntimeError } from './errors.ts';
import type { Mail } from './mail.ts';
import { type MailboxPool, mailboxDefaults } from './mailbox.ts';
import type { Scheduler } from './scheduler.ts';
import type { Clock, Random } from './seams.ts';
import { supervisionDefaults } from './supervision.ts';
import type { SpanHandle } from './telemetry.ts';
import type { Timers } from './timers.ts';

export const idleMsDefault = 60_000;

/** Who sends, and in whose trace: what a reference made by an actor carries. */
export interface Origin {
  readonly self: ActorAddress;
  readonly traceparent: string | undefined;
}

/** Counted by cells; read by stats. */
export interface LifeCounters {
  started: number;
  failures: number;
  restarts: number;
  parks: number;
  passivated: number;
  /** Outcomes and schedules whose incarnation was gone. */
  stale: number;
}

/** What a cell needs from its thread. */
export interface CellHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: Timers;
  readonly scheduler: Scheduler;
  readonly mailboxes: MailboxPool;
  readonly counters: LifeCounters;
  readonly log: ActorLog;
  /** The message of an encoded mail. */
  decodeMessage(body: Uint8Array): unknown;
  createRef(kind: string, key: string, origin: Origin): ActorRef<unknown>;
  answer(mail: Mail, value: unknown): void;
  answerFailure(mail: Mail, error: RuntimeError): void;
  /** Counts a dead letter and fails its ask, with `error` or what the reason stands for. */
  bury(mail: Mail, to: ActorAddress, reason: DeadLetterReason, error?: RuntimeError): void;
  /** The actor has stopped for good; its next message makes a new one. */
  forget(address: ActorAddress): void;
  /** Sends on what reached an actor that has moved. */
  reroute(mail: Mail, to: ActorAddress): void;
  /** A span for this message, when its trace is sampled. */
  startSpan(mail: Mail, kind: string): SpanHandle | undefined;
}

export interface ActorType {
  readonly kind: string;
  readonly role: string;
  readonly definition: ActorDefinition<never>;
  readonly mailbox: MailboxOptions;
  readonly supervision: SupervisionOptions;
  readonly idleMs: number;
  readonly isInteractive: boolean;
  readonly host: CellHost;
}

export function createActorType(definition: ActorDefinition<never>, host: CellHost): ActorType {
  return {
    kind: definition.kind,
    role: definition.role,
    definition,
    mailbox: { ...mailboxDefaults, ...definition.mailbox },
    supervision: { ...supervisionDefaults, ...definition.supervision },
    idleMs: definition.idleMs ?? idleMsDefault,
    isInteractive: definition.priority === 'interactive',
    host,
  };
}
