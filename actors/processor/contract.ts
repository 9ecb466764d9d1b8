// What the processor of a partition receives: its session with storage, and word from itself to go on.

import type { Outcome } from '../../runtime/index.ts';
import type { SeenFound } from '../storage/contract.ts';
import type { HandedJob, SessionMessage } from '../storage/partition-session.ts';
import type { TransformItem, TransformReply } from '../transformations/contract.ts';
import type { RouteTransformation } from './route-transformation.ts';

export type { Enrichers } from './enrichers.ts';

export const processorKind = 'processor';

export type ProcessorMessage = SessionMessage | ContinueProcessing | SeenRead | TransformAnswered | TransformDue;

/** An answer of storage to `readSeen`, or why there is none. */
export interface SeenRead {
  kind: 'seenRead';
  /** Only the answer to the newest question counts. */
  ticket: number;
  found: SeenFound | undefined;
  failure: string;
}

/** Jobs are left: the last slice ended before they did. */
export interface ContinueProcessing {
  kind: 'continueProcessing';
}

/** Events that were to wait before they are asked about again have waited. */
export interface TransformDue {
  kind: 'transformDue';
  ask: TransformAsk;
}

/** One event for one destination. */
export interface TransformEntry {
  handed: HandedJob;
  destinationId: string;
  item: TransformItem;
}

/** What one ask is about. */
export interface TransformAsk {
  slice: number;
  transformation: RouteTransformation;
  entries: TransformEntry[];
  attempt: number;
  /** Times its thread was lost under it, while nothing else was asked with it. */
  losses: number;
  /** A thread was lost under it: it is asked where no neighbour's events can be lost with it. */
  isSuspect: boolean;
}

export interface TransformAnswered {
  kind: 'transformAnswered';
  ask: TransformAsk;
  askedAtMs: number;
  outcome: Outcome<TransformReply>;
}
