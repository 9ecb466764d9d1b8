// The processor's stages as functions: one `gw` job in, for every destination of its source one `rt` job, a filtered
// or an aborted event out. Nothing here waits, and nothing an event holds can throw past `processJob`: an event that
// cannot be processed is aborted with a reason and its neighbours go on.

import type { Tracing } from '../../runtime/index.ts';
import type { EventObject } from '../destinations/destination.ts';
import { visitorOf } from '../isolation.ts';
import type { GatewayParameters, Job } from '../job.ts';
import type { SourceConfig, WorkspaceIndex } from '../services/workspace.ts';
import type { JobStatus, StoredJobs } from '../storage/contract.ts';
import { collectResults, type FinishedJob } from '../storage/done-runs.ts';
import { bufferOver, JobRowWriter } from '../storage/job-row.ts';
import { type JobRunOfEvent, jobRunOf, LedgerTally } from '../storage/ledger-tally.ts';
import type { HandedJob, Results } from '../storage/partition-session.ts';
import type { Dedup } from './dedup.ts';
import { DedupClaims } from './dedup-claims.ts';
import { filterEvent, gateEvent } from './destination-filter.ts';
import { encodeEvent, parseEvent, readParameters } from './event-text.ts';
import type { Route, RouteTable } from './routes.ts';
import { fixTimestamps } from './timestamps.ts';
import { type TransformAnswers, transformedCopies } from './transformed-copies.ts';

export interface PipelineContext {
  readonly workspace: WorkspaceIndex;
  readonly routes: RouteTable;
  readonly tracing: Tracing;
  readonly nowMs: number;
  readonly dedup: Pick<Dedup, 'claim' | 'giveBack'>;
  /** What customers' code made of events, for the destinations that have some (user-transforms.ts). */
  readonly answers?: TransformAnswers;
}

/** Why an event ends here. Codes as in spec/delivery.md 1.9. */
interface Refusal {
  code: number;
  reason: string;
  stage: ProcessorStage;
}

/** Where in the processor an event ended, named as in the field (spec/ingest.md 4.13). */
type ProcessorStage = 'preprocess' | 'dedup' | 'event_filter' | 'user_transformer' | 'dest_transformer' | 'store';

/** How an event ends that goes nowhere. */
type End = { code: number; told: Record<string, unknown> } & (
  | { state: 'aborted'; kind: 'aborted' }
  | { state: 'filtered'; kind: 'deduplicated' }
);

/** One job for one destination, ready to be written. */
interface RoutedJob {
  route: Route;
  parameters: string;
  body: readonly Uint8Array[];
}

/** Rows of one event beyond this do not fit a commit. */
const eventRowsBytesMax = 32 * 1024 * 1024;
const eventNameCharactersMax = 512;
const recordIdCharactersMax = 512;
const unreadable = 400;
const drained = 410;
const tooLarge = 413;
/** Intended, as in spec/delivery.md 1.9. */
const duplicate: Refusal = { code: 298, reason: 'duplicate', stage: 'dedup' };

/** What a run over some jobs made: goes into one commit. */
export class PipelineBatch {
  readonly jobs: HandedJob[] = [];
  /** Message ids of its events. */
  readonly claims = new DedupClaims();
  readonly #finished: FinishedJob[] = [];
  readonly #ledger = new LedgerTally();
  readonly #rows: JobRowWriter;

  constructor(bytesExpected: number) {
    this.#rows = new JobRowWriter(bytesExpected);
  }

  get byteLength(): number {
    return this.#rows.byteLength;
  }

  get rowCount(): number {
    return this.#rows.count;
  }

  /** An event that was processed: its rows, and what became of it for every destination. */
  succeed(handed: HandedJob, event: ProcessedEvent): void {
    const { job, afterId } = handed;
    const { userId, messageId, receivedAtMs, jobId: parentId } = job;
    const { sourceId, run } = event;
    for (const { route, parameters, body } of event.routed) {
      const { shards } = route;
      const partition = shards.isSplit ? shards.keyOf(visitorOf(userId)) : shards.partition;
      this.#rows.append({ jobId: 0, parentId, partition, userId, messageId, receivedAtMs, parameters }, body);
      this.#ledger.add(receivedAtMs, sourceId, route.destinationId, 'routed', run);
    }
    for (const destinationId of event.filtered) {
      this.#ledger.add(receivedAtMs, sourceId, destinationId, 'routed', run);
      this.#ledger.add(receivedAtMs, sourceId, destinationId, 'filtered', run);
    }
    for (const { destinationId, code } of event.aborted) {
      this.#ledger.add(receivedAtMs, sourceId, destinationId, 'routed', run);
      this.#ledger.add(receivedAtMs, sourceId, destinationId, 'aborted', run, code);
    }
    this.#ledger.add(receivedAtMs, sourceId, '', 'processed', run);
    this.jobs.push(handed);
    this.#finished.push({ jobId: job.jobId, afterId, status: event.status });
  }

  /** `configVersion`: of the configuration that the event was processed by. */
  abort(handed: HandedJob, sourceId: string, refusal: Refusal & { configVersion: number }, nowMs: number): void {
    const { reason, stage, configVersion } = refusal;
    const told = { reason, stage, configVersion };
    this.#end(handed, sourceId, { state: 'aborted', kind: 'aborted', code: refusal.code, told }, nowMs);
  }

  /** Its source has sent it before. */
  deduplicate(handed: HandedJob, sourceId: string, nowMs: number): void {
    const { code, reason } = duplicate;
    this.#end(handed, sourceId, { state: 'filtered', kind: 'deduplicated', code, told: { reason } }, nowMs);
  }

  /** Everything for the commit; the batch keeps only the jobs, in case it must be done again. */
  takeResults(): Results {
    const { rows, count } = this.#rows.take();
    const jobs: StoredJobs[] = count === 0 ? [] : [{ queue: 'rt', rows, count }];
    const seen = this.claims.rows();
    return {
      jobs,
      ...collectResults(this.#finished),
      ledger: this.#ledger.take(),
      ...this.#ledger.takeJobRuns(),
      seen,
    };
  }

  #end(handed: HandedJob, sourceId: string, end: End, nowMs: number): void {
    const { job, afterId } = handed;
    const run = jobRunOf(readParameters(job.parameters));
    this.#ledger.add(job.receivedAtMs, sourceId, '', end.kind, run, end.code);
    this.jobs.push(handed);
    const status = statusOf(job, end.state, end.code, end.told, nowMs);
    this.#finished.push({ jobId: job.jobId, afterId, status });
  }
}

export interface ProcessedEvent {
  sourceId: string;
  /** The job run it belongs to, which nearly no event does. */
  run: JobRunOfEvent | undefined;
  routed: RoutedJob[];
  filtered: string[];
  aborted: (Refusal & { destinationId: string })[];
  /** Only when there is something to tell about the success. */
  status: JobStatus | undefined;
}

export function processJob(handed: HandedJob, batch: PipelineBatch, context: PipelineContext): void {
  const { job } = handed;
  const parameters = readParameters(job.parameters);
  const sourceId = parameters?.source_id ?? '';
  if (parameters === undefined) {
    const reason = 'parameters are not a JSON object';
    abort(handed, '', { code: unreadable, reason, stage: 'preprocess' }, batch, context);
    return;
  }
  try {
    const event = processEvent(handed, parameters, batch.claims, context);
    if (event === duplicate) batch.deduplicate(handed, sourceId, context.nowMs);
    else if ('reason' in event) abort(handed, sourceId, event, batch, context);
    else batch.succeed(handed, event);
  } catch (error) {
    const reason = `the event cannot be processed: ${error instanceof Error ? error.name : 'unknown'}`;
    abort(handed, sourceId, { code: unreadable, reason, stage: 'preprocess' }, batch, context);
  }
}

function abort(
  handed: HandedJob,
  sourceId: string,
  refusal: Refusal,
  batch: PipelineBatch,
  context: PipelineContext,
): void {
  context.dedup.giveBack(batch.claims, handed.job.jobId);
  const configVersion = context.workspace.snapshot.version;
  batch.abort(handed, sourceId, { ...refusal, configVersion }, context.nowMs);
}

/** For a job whose results Postgres refused: it alone, aborted. */
export function abortRefused(
  handed: HandedJob,
  batch: PipelineBatch,
  reason: string,
  { workspace, nowMs }: Pick<PipelineContext, 'workspace' | 'nowMs'>,
): void {
  const sourceId = readParameters(handed.job.parameters)?.source_id ?? '';
  const told = `storage refused the results: ${reason}`;
  const configVersion = workspace.snapshot.version;
  batch.abort(handed, sourceId, { code: unreadable, reason: told, stage: 'store', configVersion }, nowMs);
}

function processEvent(
  handed: HandedJob,
  parameters: GatewayParameters,
  claims: DedupClaims,
  context: PipelineContext,
): ProcessedEvent | Refusal {
  const { job } = handed;
  const source = context.workspace.sourceById(parameters.source_id);
  if (source === undefined) return { code: drained, reason: 'source not found', stage: 'preprocess' };
  if (!context.dedup.claim(claims, job, source, parameters)) return duplicate;
  const payload = bufferOver(job.payload);
  const event = parseEvent(payload);
  if (event === undefined) return { code: unreadable, reason: 'payload is not a JSON object', stage: 'preprocess' };
  if (!context.tracing.enabled) return fanOut(handed, payload, event, parameters, source, context);
  const span = context.tracing.start('processor.process', { traceparent: parameters.traceparent, kind: 'consumer' });
  try {
    const traced = span.traceparent === undefined ? parameters : { ...parameters, traceparent: span.traceparent };
    return fanOut(handed, payload, event, traced, source, context);
  } finally {
    span.end();
  }
}

function fanOut(
  handed: HandedJob,
  payload: Buffer,
  event: EventObject,
  parameters: GatewayParameters,
  source: SourceConfig,
  context: PipelineContext,
): ProcessedEvent | Refusal {
  const { job } = handed;
  const changes = fixTimestamps(event, job.receivedAtMs);
  const run = parameters.source_job_run_id === undefined ? undefined : runOf(event, parameters);
  const suffix = parametersSuffix(event, parameters, run);
  const only = parameters.destination_id;
  const result: ProcessedEvent = { sourceId: source.id, run, routed: [], filtered: [], aborted: [], status: undefined };
  let eventBytes: readonly Uint8Array[] | undefined;
  let bytes = 0;
  const deliver = (route: Route, content: EventObject, own: Uint8Array | undefined, copy = 0): void => {
    const transformed = transform(route, content, source.id, job);
    if (transformed.kind === 'filtered') result.filtered.push(route.destinationId);
    else if (transformed.kind === 'aborted')
      result.aborted.push({ destinationId: route.destinationId, ...transformed, stage: 'dest_transformer' });
    else {
      if (transformed.body === 'event' && own === undefined) eventBytes ??= encodeEvent(payload, event, changes);
      const body = transformed.body !== 'event' ? [transformed.body] : own !== undefined ? [own] : (eventBytes ?? []);
      for (const piece of body) bytes += piece.byteLength;
      const copyText = copy === 0 ? '' : `,"copy":${copy}`;
      const text = `${route.parametersPrefix}${suffix}${copyText},"request":${transformed.request}}`;
      result.routed.push({ route, parameters: text, body });
    }
  };
  for (const route of context.routes.routesOf(source)) {
    const { destinationId, transformation } = route;
    // Reverse ETL means one destination: for the others the event does not exist.
    if (only !== undefined && only !== destinationId) continue;
    const verdict = transformation === undefined ? filterEvent(route.filter, event) : gateEvent(route.filter, event);
    if (verdict?.code === 298) result.filtered.push(destinationId);
    else if (verdict !== undefined) result.aborted.push({ destinationId, ...verdict, stage: 'event_filter' });
    else if (transformation === undefined) deliver(route, event, undefined);
    else {
      const copies = transformedCopies(route, context.answers?.get(handed)?.get(destinationId));
      for (const refusal of copies.refused) {
        if (refusal.code === 298) result.filtered.push(destinationId);
        else result.aborted.push({ destinationId, ...refusal, stage: 'user_transformer' });
      }
      for (const [copy, { event: made, bytes: own }] of copies.events.entries()) deliver(route, made, own, copy);
    }
  }
  if (bytes > eventRowsBytesMax) {
    return { code: tooLarge, reason: 'the event is too large for all of its destinations', stage: 'store' };
  }
  if (result.aborted.length > 0) {
    const aborted = result.aborted.map(({ destinationId, code, reason, stage }) => ({
      destinationId,
      code,
      reason,
      stage,
    }));
    const configVersion = context.workspace.snapshot.version;
    result.status = statusOf(job, 'succeeded', 200, { aborted, configVersion }, context.nowMs);
  }
  return result;
}

/** A destination whose transform throws loses its own copy of the event, visibly, and nobody else's. */
function transform(route: Route, event: EventObject, sourceId: string, job: Job) {
  const { destinationId } = route;
  try {
    const metadata = { sourceId, destinationId, messageId: job.messageId, receivedAtMs: job.receivedAtMs };
    return route.destination.transform(event, metadata);
  } catch (error) {
    const reason = `the destination's transform failed: ${error instanceof Error ? error.name : 'unknown'}`;
    return { kind: 'aborted' as const, code: unreadable, reason };
  }
}

/** The part of RouterParameters that differs by event: `,"event_name":…`. */
function parametersSuffix(event: EventObject, parameters: GatewayParameters, ofRun: JobRunOfEvent | undefined): string {
  const name = event.event;
  const type = event.type;
  let suffix = '';
  if (typeof name === 'string') suffix += `,"event_name":${JSON.stringify(name.slice(0, eventNameCharactersMax))}`;
  if (typeof type === 'string') suffix += `,"event_type":${JSON.stringify(type.slice(0, eventNameCharactersMax))}`;
  const { source_job_run_id: run, source_task_run_id: task, traceparent } = parameters;
  if (run !== undefined) suffix += `,"source_job_run_id":${JSON.stringify(run)}`;
  if (task !== undefined) suffix += `,"source_task_run_id":${JSON.stringify(task)}`;
  if (ofRun !== undefined && ofRun.recordId !== '') suffix += `,"record_id":${JSON.stringify(ofRun.recordId)}`;
  if (traceparent !== undefined) suffix += `,"traceparent":${JSON.stringify(traceparent)}`;
  return suffix;
}

function runOf(event: EventObject, parameters: GatewayParameters): JobRunOfEvent | undefined {
  return jobRunOf({ ...parameters, record_id: recordIdOf(event) });
}

/** JSON text of the record an event was made of; '' when it names none, or one that no index could hold. */
function recordIdOf(event: EventObject): string {
  if (event.recordId === undefined) return '';
  const text = JSON.stringify(event.recordId);
  return text.length > recordIdCharactersMax ? '' : text;
}

function statusOf(
  job: Job,
  state: JobStatus['state'],
  code: number,
  response: Record<string, unknown>,
  nowMs: number,
): JobStatus {
  return {
    jobId: job.jobId,
    state,
    attempt: 1,
    code,
    response: JSON.stringify(response),
    execTimeMs: nowMs,
    retryTimeMs: 0,
    firstAttemptedAtMs: nowMs,
  };
}
