// What a thread knows about its actors: plain numbers, cheap to take, structured-cloneable, summed up by main.

import type { LinkStats } from '../transport/index.ts';
import type { LifeCounters } from './actor-type.ts';
import type { DeadLetterReason } from './dead-letters.ts';
import type { HotActor } from './registry.ts';
import type { Saturation } from './saturation.ts';
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
  /** Addresses whose messages wait here for the end of a move. */
  held: number;
  askTimeouts: number;
  lateReplies: number;
  deadLetters: Partial<Record<DeadLetterReason, number>>;
  life: LifeCounters;
  scheduler: SchedulerStats;
  links: ({ peer: number } & LinkStats)[];
  /** Over all links the thread ever had: a link ends with either of its threads, what it carried stays counted. */
  traffic: Traffic;
  /** The busiest actors of the last second. */
  hot: readonly HotActor[];
  /** The actor that has used the thread nearly alone for a while. */
  saturatedBy: Saturation | undefined;
}

export type Traffic = Pick<
  LinkStats,
  'sentEnvelopes' | 'sentFrames' | 'sentBytes' | 'receivedEnvelopes' | 'refusedEnvelopes'
>;

export function noTraffic(): Traffic {
  return { sentEnvelopes: 0, sentFrames: 0, sentBytes: 0, receivedEnvelopes: 0, refusedEnvelopes: 0 };
}

export function sumTraffic(parts: readonly Traffic[]): Traffic {
  const sum = noTraffic();
  for (const part of parts) {
    sum.sentEnvelopes += part.sentEnvelopes;
    sum.sentFrames += part.sentFrames;
    sum.sentBytes += part.sentBytes;
    sum.receivedEnvelopes += part.receivedEnvelopes;
    sum.refusedEnvelopes += part.refusedEnvelopes;
  }
  return sum;
}
