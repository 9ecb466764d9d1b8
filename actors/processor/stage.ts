// The contract between the pipeline and what is done to an event on its way (stages) or only looks on (taps). Both are
// worked out for a source once per configuration (source-plan.ts), so that what a source does not use costs nothing.

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { GatewayParameters, Job, QueueName } from '../job.ts';
import type { ObservationCollector } from '../observations/contract.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { JobRunOfEvent } from '../storage/ledger-tally.ts';
import type { HandedJob } from '../storage/partition-session.ts';
import type { TransformOutcome } from '../transformations/contract.ts';
import { encodeEvent } from './event-text.ts';
import type { Route } from './routes.ts';
import { fixTimestamps, type TimeChanges } from './timestamps.ts';

/** Where in the processor an event ended, named as in the field (spec/ingest.md 4.13). */
export type StageName =
  | 'preprocess'
  | 'dedup'
  | 'bot_management'
  | 'event_blocking'
  | 'source_hydration'
  | 'tracking_plan_validator'
  | 'destination_filter'
  | 'event_filter'
  | 'user_transformer'
  | 'dest_transformer'
  | 'store';

/** Why an event ends. Codes as in spec/delivery.md 1.9. */
export interface Refusal {
  readonly code: number;
  readonly reason: string;
  readonly stage: StageName;
}

/** How an event ends for all of its destinations: a fault, or intended. */
export interface Ending extends Refusal {
  readonly kind: 'aborted' | 'filtered' | 'deduplicated';
}

/** One event on its way. Stages change `event`, and say so with `rewritten`. */
export class EventInHand {
  readonly handed: HandedJob;
  readonly parameters: GatewayParameters;
  readonly plan: SourcePlan;
  readonly event: EventObject;
  readonly #payload: Buffer;
  readonly #changes: TimeChanges;
  #encoded: readonly Uint8Array[] | undefined;

  /** The event gets its four times (timestamps.ts). */
  constructor(handed: HandedJob, parameters: GatewayParameters, plan: SourcePlan, payload: Buffer, event: EventObject) {
    this.handed = handed;
    this.parameters = parameters;
    this.plan = plan;
    this.event = event;
    this.#payload = payload;
    this.#changes = fixTimestamps(event, handed.job.receivedAtMs);
  }

  get source(): SourceConfig {
    return this.plan.source;
  }

  /** The event's `context`, for who is about to change it; made where there is none. */
  contextToChange(): Record<string, unknown> {
    this.rewritten();
    const { context } = this.event;
    if (isObject(context)) return context;
    const made: Record<string, unknown> = {};
    this.event.context = made;
    return made;
  }

  /** To be called by who has changed anything in `event`: its bytes are then written anew. */
  rewritten(): void {
    this.#changes.rewritten = true;
    this.#encoded = undefined;
  }

  /** The event's bytes: the client's own as far as they still hold. */
  encoded(): readonly Uint8Array[] {
    this.#encoded ??= encodeEvent(this.#payload, this.event, this.#changes);
    return this.#encoded;
  }

  /** The same as text. */
  text(): string {
    return Buffer.concat(this.encoded()).toString();
  }
}

/** What stages may know besides the event. */
export interface StageContext {
  readonly nowMs: number;
}

/** Undefined: the event goes on. It may change the event. What it throws aborts that event alone. */
export type Stage = (inHand: EventInHand, context: StageContext) => Ending | undefined;

/** Undefined: the source does not use it. Called once per source and configuration. */
export type StageFactory = (source: SourceConfig) => Stage | undefined;

/** One job for one destination, ready to be written. */
export interface RoutedJob {
  readonly route: Route;
  readonly parameters: string;
  readonly body: readonly Uint8Array[];
}

export interface DestinationEnding extends Refusal {
  readonly destinationId: string;
  /** Set: it was this copy that ended, which customers' code had made of the event. */
  readonly copy: CopyOfEvent | undefined;
}

/** One of the events that customers' code made of an event for a destination. */
export interface CopyOfEvent {
  readonly bytes: Uint8Array;
  readonly number: number;
}

/** What became of an event at its destinations. */
export interface Outcome {
  readonly inHand: EventInHand;
  /** The job run it belongs to, which nearly no event does. */
  readonly run: JobRunOfEvent | undefined;
  /** What customers' code made of it, by destination; absent where none has any. */
  readonly transformed?: ReadonlyMap<string, TransformOutcome> | undefined;
  readonly routed: RoutedJob[];
  readonly filtered: DestinationEnding[];
  readonly aborted: DestinationEnding[];
}

/** What a tap may add to the commit that ends the event. */
export interface CommitAdditions {
  add(queue: Exclude<QueueName, 'gw' | 'rt' | 'err'>, job: Omit<Job, 'payload'>, body: readonly Uint8Array[]): void;
  /** What gathers for this commit: made by `make` the first time it is asked for with it. */
  collect<Collector extends ObservationCollector>(make: () => Collector): Collector;
}

/**
 * Told what happened to the events of one source. It must not change them, and what it throws is counted and forgotten.
 * When a commit is refused its events go through the pipeline again, and taps hear of them again: what must agree with
 * the outcome belongs into `commit`, whose additions go with the events.
 */
export interface Tap {
  /** The source's stages are through, and it goes to its destinations. */
  processed?(outcome: Outcome, commit: CommitAdditions): void;
  /** It ended before; `inHand` is undefined when it could not be read, or was a duplicate. */
  ended?(handed: HandedJob, inHand: EventInHand | undefined, ending: Ending, commit: CommitAdditions): void;
}

/** Undefined: nobody looks on at this source. Called once per source and configuration. */
export type TapFactory = (source: SourceConfig) => Tap | undefined;

/** What a source's configuration means for its events (source-plan.ts). */
export interface SourcePlan {
  readonly source: SourceConfig;
  /** In order. */
  readonly stages: readonly Stage[];
  readonly routes: readonly Route[];
  readonly taps: readonly Tap[];
  /** A destination has customers' code, for which its events have to wait. */
  readonly isTransforming: boolean;
  /** Its events are completed by the transformer first. */
  readonly isHydrated: boolean;
}
