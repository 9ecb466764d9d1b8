// The way of one `gw` job through the processor, in two halves: `prepare` up to where its destinations part, `finish`
// from there into a batch. Between them events may wait for what is done elsewhere (user-transforms.ts). Neither half
// waits itself, and nothing an event holds can throw past them: an event that cannot be processed is aborted with a
// reason and its neighbours go on. What is done to events stands in stages.ts, one file each; who looks on in taps.ts.

import type { Tracing } from '../../runtime/index.ts';
import type { WorkspaceIndex } from '../services/workspace.ts';
import { bufferOver } from '../storage/job-row.ts';
import type { HandedJob } from '../storage/partition-session.ts';
import type { HydratedEvents } from './contract.ts';
import type { Dedup } from './dedup.ts';
import type { DedupClaims } from './dedup-claims.ts';
import { parseEvent, readParameters } from './event-text.ts';
import { fanOut } from './fan-out.ts';
import type { PipelineBatch } from './pipeline-batch.ts';
import type { SourcePlans } from './source-plan.ts';
import { type Ending, EventInHand, type Outcome, type SourcePlan, type StageContext, type StageName } from './stage.ts';
import type { TransformAnswers } from './transformed-copies.ts';

export interface PipelineContext extends StageContext {
  readonly workspace: WorkspaceIndex;
  readonly plans: SourcePlans;
  readonly tracing: Tracing;
  readonly dedup: Pick<Dedup, 'claim' | 'giveBack'>;
  /** What became of the events of hydrated sources (hydration.ts). */
  readonly hydrated?: HydratedEvents;
  /** What customers' code made of events, for the destinations that have some (user-transforms.ts). */
  readonly answers?: TransformAnswers;
  /** Counts what taps throw: it must not touch the event. */
  tapFailed(error: unknown): void;
}

/** An event that has ended before its destinations. */
interface Ended {
  readonly handed: HandedJob;
  readonly sourceId: string;
  readonly plan: SourcePlan | undefined;
  readonly inHand: EventInHand | undefined;
  readonly ending: Ending;
}

export type Prepared = EventInHand | Ended;

const unreadable = 400;
const drained = 410;
const duplicate: Ending = { kind: 'deduplicated', code: 298, reason: 'duplicate', stage: 'dedup' };
const noParameters = aborted(unreadable, 'parameters are not a JSON object', 'preprocess');
const noSource = aborted(drained, 'source not found', 'preprocess');
const notHydrated = aborted(500, 'hydration was switched on while the event was processed', 'source_hydration');
const noEvent = aborted(unreadable, 'payload is not a JSON object', 'preprocess');

export function processJob(handed: HandedJob, batch: PipelineBatch, context: PipelineContext): void {
  finish(prepare(handed, batch.claims, context), batch, context);
}

/** Reads the event and leads it through the stages of its source. */
export function prepare(handed: HandedJob, claims: DedupClaims, context: PipelineContext): Prepared {
  const { job } = handed;
  const parameters = readParameters(job.parameters);
  if (parameters === undefined) return ended(handed, '', undefined, noParameters);
  const source = context.workspace.sourceById(parameters.source_id);
  if (source === undefined) return ended(handed, parameters.source_id, undefined, noSource);
  const plan = context.plans.of(source);
  let inHand: EventInHand | undefined;
  try {
    // What is tried again was seen before, and is meant to be: it only makes sure that others are its duplicates.
    const isNew = context.dedup.claim(claims, job, source, parameters) || parameters.retry !== undefined;
    if (!isNew) return ended(handed, source.id, plan, duplicate);
    let payload = bufferOver(job.payload);
    if (plan.isHydrated && parameters.retry?.copy === undefined) {
      const found = context.hydrated?.get(handed) ?? notHydrated;
      if (!Buffer.isBuffer(found)) return ended(handed, source.id, plan, found);
      payload = found;
    }
    const event = parseEvent(payload);
    if (event === undefined) return ended(handed, source.id, plan, noEvent);
    inHand = new EventInHand(handed, parameters, plan, payload, event);
    for (const stage of parameters.retry?.copy === undefined ? plan.stages : []) {
      const ending = stage(inHand, context);
      if (ending !== undefined) return ended(handed, source.id, plan, ending, inHand);
    }
    return inHand;
  } catch (error) {
    return ended(handed, source.id, plan, thrown(error), inHand);
  }
}

/** What became of it goes into the batch, for every destination of its source. */
export function finish(prepared: Prepared, batch: PipelineBatch, context: PipelineContext): void {
  if (!(prepared instanceof EventInHand)) {
    end(prepared, batch, context);
    return;
  }
  const { handed, plan } = prepared;
  const outcome = fanOutSafely(prepared, context);
  if ('kind' in outcome) {
    end({ handed, sourceId: plan.source.id, plan, inHand: prepared, ending: outcome }, batch, context);
    return;
  }
  try {
    batch.succeed(outcome, momentOf(context));
  } catch (error) {
    end({ handed, sourceId: plan.source.id, plan, inHand: prepared, ending: thrown(error, 'store') }, batch, context);
    return;
  }
  for (const tap of plan.taps) {
    try {
      tap.processed?.(outcome, batch);
    } catch (error) {
      context.tapFailed(error);
    }
  }
}

/** For a job whose results Postgres refused: it alone, aborted. */
export function abortRefused(
  handed: HandedJob,
  batch: PipelineBatch,
  reason: string,
  context: Pick<PipelineContext, 'workspace' | 'nowMs'>,
): void {
  const sourceId = readParameters(handed.job.parameters)?.source_id ?? '';
  const ending = aborted(unreadable, `storage refused the results: ${reason}`, 'store');
  batch.end(handed, sourceId, ending, momentOf(context));
}

function fanOutSafely(inHand: EventInHand, { tracing, answers }: PipelineContext): Outcome | Ending {
  try {
    if (!tracing.enabled) return fanOut(inHand, answers);
    const { traceparent } = inHand.parameters;
    const span = tracing.start('processor.process', { traceparent, kind: 'consumer' });
    try {
      return fanOut(inHand, answers, span.traceparent);
    } finally {
      span.end();
    }
  } catch (error) {
    return thrown(error);
  }
}

function end({ handed, sourceId, plan, inHand, ending }: Ended, batch: PipelineBatch, context: PipelineContext): void {
  if (ending.kind === 'aborted') context.dedup.giveBack(batch.claims, handed.job.jobId);
  batch.end(handed, sourceId, ending, momentOf(context));
  if (plan === undefined) return;
  for (const tap of plan.taps) {
    try {
      tap.ended?.(handed, inHand, ending, batch);
    } catch (error) {
      context.tapFailed(error);
    }
  }
}

function ended(
  handed: HandedJob,
  sourceId: string,
  plan: SourcePlan | undefined,
  ending: Ending,
  inHand?: EventInHand,
): Ended {
  return { handed, sourceId, plan, inHand, ending };
}

function aborted(code: number, reason: string, stage: StageName): Ending {
  return { kind: 'aborted', code, reason, stage };
}

function thrown(error: unknown, stage: StageName = 'preprocess'): Ending {
  const name = error instanceof Error ? error.name : 'unknown';
  return aborted(unreadable, `the event cannot be processed: ${name}`, stage);
}

function momentOf({ nowMs, workspace }: Pick<PipelineContext, 'workspace' | 'nowMs'>) {
  return { nowMs, configVersion: workspace.snapshot.version };
}
