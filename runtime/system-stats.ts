// What a thread knows about its actors: plain numbers, cheap to take, structured-cloneable, summed up by main.

import type { LinkStats } from '../transport/index.ts';
import type { LifeCounters } from './actor-type.ts';
import type { DeadLetterReason } from './dead-letters.ts';
import type { HotActor } from './registry.ts';
import type { SchedulerStats } from './scheduler.ts';

export interface SystemStats {
  threadId: number;
  role: string;
  placementEpoch: number;
  /** Resident actors. */
  actors: number;
  actorsByKind: Record<string, number>;
  /** Printed addresses. */
  parked: string[];
  backingOff: string[];
  mailboxDepth: number;
  mailboxBytes: number;
  asksPending: number;
  askTimeouts: number;
  lateReplies: number;
  deadLetters: Partial<Record<DeadLetterReason, number>>;
  life: LifeCounters;
  scheduler: SchedulerStats;
  links: ({ peer: number } & LinkStats)[];
  /** The busiest actors of the last second. */
  hot: readonly HotActor[];
}
