// What the processor of a partition receives: its session with storage, and word from itself to go on.

import type { Outcome } from '../../runtime/index.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { SeenFound } from '../storage/contract.ts';
import type { HandedJob, SessionMessage } from '../storage/partition-session.ts';
import type { TransformItem, TransformReply } from '../transformations/contract.ts';
import type { TransformerAnswer } from '../transformer/transformer-http.ts';
import type { RouteTransformation } from './route-transformation.ts';
import type { Ending } from './stage.ts';

export type { Enrichers } from './enrichers.ts';

export const processorKind = 'processor';

export type ProcessorMessage =
  | SessionMessage
  | ContinueProcessing
  | SeenRead
  | Hydrated
  | HydrationDue
  | TransformAnswered
  | TransformDue;

/** The event as it came back, or why there is none. Keyed by the job's object: what is done needs no clearing away. */
export type HydratedEvents = WeakMap<HandedJob, Buffer | Ending>;

/** What one ask about events of one source is about. */
export interface HydrationAsk {
  slice: number;
  source: SourceConfig;
  jobs: HandedJob[];
  attempt: number;
}

export interface Hydrated {
  kind: 'hydrated';
  ask: HydrationAsk;
  answer: TransformerAnswer;
}

/** Events that were to wait before the transformer is asked about them again have waited. */
export interface HydrationDue {
  kind: 'hydrationDue';
  ask: HydrationAsk;
}

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
