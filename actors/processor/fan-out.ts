// The last stages, once per destination: is the event meant for it, what does customers' code make of it, and which
// request does it become there. A destination that refuses or throws loses its own copy and nobody else's.

import type { EventObject, TransformResult } from '../destinations/destination.ts';
import type { GatewayParameters } from '../job.ts';
import { type JobRunOfEvent, jobRunOf } from '../storage/ledger-tally.ts';
import { filterType, gateEvent } from './destination-filter.ts';
import { mayBeInexact, printMember } from './exact-json.ts';
import type { Route } from './routes.ts';
import type { CopyOfEvent, Ending, EventInHand, Outcome } from './stage.ts';
import { type TransformAnswers, transformedCopies } from './transformed-copies.ts';

/** Rows of one event beyond this do not fit a commit. */
const eventRowsBytesMax = 32 * 1024 * 1024;
const eventNameCharactersMax = 512;
const recordIdBytesMax = 512;
const unreadable = 400;
const filtered = 298;
const tooLarge: Ending = {
  kind: 'aborted',
  code: 413,
  reason: 'the event is too large for all of its destinations',
  stage: 'store',
};

export function fanOut(
  inHand: EventInHand,
  answers: TransformAnswers | undefined,
  traceparent = inHand.parameters.traceparent,
): Outcome | Ending {
  const { parameters, plan, event } = inHand;
  const run = parameters.source_job_run_id === undefined ? undefined : runOf(inHand);
  const suffix = parametersSuffix(event, parameters, run, traceparent);
  const transformed = answers?.get(inHand.handed);
  const outcome: Outcome = { inHand, run, transformed, routed: [], filtered: [], aborted: [] };
  const { destination_id: only, retry } = parameters;
  for (const route of plan.routes) {
    // Reverse ETL means one destination: for the others the event does not exist.
    if (only !== undefined && only !== route.destinationId) continue;
    const gate = gateEvent(route.filter, event);
    if (gate !== undefined) refuse(outcome, route, gate, 'destination_filter');
    else if (retry?.copy !== undefined) deliver(route, outcome, event, copyAgain(inHand, retry.copy), suffix);
    else if (route.transformation !== undefined) deliverCopies(route, outcome, suffix, answers);
    else {
      const verdict = filterType(route.filter, event);
      if (verdict !== undefined) refuse(outcome, route, verdict, 'event_filter');
      else deliver(route, outcome, event, undefined, suffix);
    }
  }
  return rowBytes(outcome) > eventRowsBytesMax ? tooLarge : outcome;
}

function deliverCopies(route: Route, outcome: Outcome, suffix: string, answers: TransformAnswers | undefined): void {
  const copies = transformedCopies(
    route,
    answers?.get(outcome.inHand.handed)?.get(route.destinationId),
    outcome.inHand,
  );
  for (const refusal of copies.refused) refuse(outcome, route, refusal, 'user_transformer');
  for (const [number, { event, bytes }] of copies.events.entries()) {
    deliver(route, outcome, event, { bytes, number }, suffix);
  }
}

/** It was a copy when it was given up. */
function copyAgain(inHand: EventInHand, number: number): CopyOfEvent {
  return { bytes: Buffer.concat(inHand.encoded()), number };
}

function deliver(
  route: Route,
  outcome: Outcome,
  event: EventObject,
  copy: CopyOfEvent | undefined,
  suffix: string,
): void {
  const transformed = transform(route, event, outcome.inHand);
  if (transformed.kind !== 'deliver') {
    const code = transformed.kind === 'filtered' ? filtered : transformed.code;
    refuse(outcome, route, { code, reason: transformed.reason }, 'dest_transformer', copy);
    return;
  }
  const body =
    transformed.body !== 'event' ? [transformed.body] : copy !== undefined ? [copy.bytes] : outcome.inHand.encoded();
  const copyText = copy === undefined || copy.number === 0 ? '' : `,"copy":${copy.number}`;
  const parameters = `${route.parametersPrefix}${suffix}${copyText},"request":${transformed.request}}`;
  outcome.routed.push({ route, parameters, body });
}

function refuse(
  outcome: Outcome,
  { destinationId }: Route,
  { code, reason }: { code: number; reason: string },
  stage: Ending['stage'],
  copy?: CopyOfEvent,
): void {
  const list = code === filtered ? outcome.filtered : outcome.aborted;
  list.push({ destinationId, code, reason, stage, copy });
}

function transform(route: Route, event: EventObject, { source, handed: { job } }: EventInHand): TransformResult {
  const { destinationId } = route;
  try {
    const { messageId, receivedAtMs } = job;
    const { id: sourceId, sourceDefinition } = source;
    const { name: sourceType, category: sourceCategory } = sourceDefinition;
    const metadata = { sourceId, destinationId, messageId, receivedAtMs, sourceType, sourceCategory };
    return route.destination.transform(event, metadata);
  } catch (error) {
    const reason = `the destination's transform failed: ${error instanceof Error ? error.name : 'unknown'}`;
    return { kind: 'aborted', code: unreadable, reason };
  }
}

/** What is given up is kept with the event. */
function rowBytes({ inHand, routed, aborted }: Outcome): number {
  let bytes = aborted.length * inHand.handed.job.payload.byteLength;
  for (const { body } of routed) for (const piece of body) bytes += piece.byteLength;
  return bytes;
}

/** The part of RouterParameters that differs by event: `,"event_name":…`. */
function parametersSuffix(
  event: EventObject,
  parameters: GatewayParameters,
  ofRun: JobRunOfEvent | undefined,
  traceparent: string | undefined,
): string {
  const name = event.event;
  const type = event.type;
  let suffix = '';
  if (typeof name === 'string') suffix += `,"event_name":${JSON.stringify(name.slice(0, eventNameCharactersMax))}`;
  if (typeof type === 'string') suffix += `,"event_type":${JSON.stringify(type.slice(0, eventNameCharactersMax))}`;
  const { source_job_run_id: run, source_task_run_id: task } = parameters;
  if (run !== undefined) suffix += `,"source_job_run_id":${JSON.stringify(run)}`;
  if (task !== undefined) suffix += `,"source_task_run_id":${JSON.stringify(task)}`;
  if (ofRun !== undefined && ofRun.recordId !== '') suffix += `,"record_id":${JSON.stringify(ofRun.recordId)}`;
  if (traceparent !== undefined) suffix += `,"traceparent":${JSON.stringify(traceparent)}`;
  return suffix;
}

function runOf(inHand: EventInHand): JobRunOfEvent | undefined {
  return jobRunOf({ ...inHand.parameters, record_id: recordIdOf(inHand) });
}

/** JSON text of the record an event was made of; '' when it names none, or one that no index could hold. */
function recordIdOf(inHand: EventInHand): string {
  const { recordId } = inHand.event;
  if (recordId === undefined) return '';
  const rounded = JSON.stringify(recordId);
  const text = mayBeInexact(rounded) ? printMember(inHand.text(), 'recordId', recordId) : rounded;
  return Buffer.byteLength(text) > recordIdBytesMax ? '' : text;
}
