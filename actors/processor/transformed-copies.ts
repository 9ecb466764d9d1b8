// What customers' code made of one event, as what the destination's own transform takes: none, one or several events.

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { HandedJob } from '../storage/partition-session.ts';
import type { TransformFailure, TransformOutcome } from '../transformations/contract.ts';
import { filterType } from './destination-filter.ts';
import { mayBeInexact, printExactly } from './exact-json.ts';
import type { Route } from './routes.ts';
import type { EventInHand } from './stage.ts';

/** By job and destination. Keyed by the job's object, so that what is done needs no clearing away. */
export type TransformAnswers = WeakMap<HandedJob, Map<string, TransformOutcome>>;

export interface TransformedCopies {
  events: { event: EventObject; bytes: Uint8Array }[];
  /** Code 298: filtered. */
  refused: TransformFailure[];
}

const noAnswer: TransformFailure = { code: 400, reason: 'the transformation was added while the event was processed' };
const filtered: TransformFailure = { code: 298, reason: 'filtered by the transformation' };
const unreadable: TransformFailure = { code: 400, reason: 'the transformation gave what is not a JSON object' };

export function transformedCopies(
  route: Route,
  outcome: TransformOutcome | undefined,
  inHand: Pick<EventInHand, 'text'>,
): TransformedCopies {
  if (outcome === undefined) return { events: [], refused: [route.transformation?.refusal ?? noAnswer] };
  const copies: TransformedCopies = { events: [], refused: outcome.failure === undefined ? [] : [outcome.failure] };
  for (const text of outcome.outputs) {
    const event = parseObject(text);
    const verdict = event === undefined ? unreadable : filterType(route.filter, event);
    if (event === undefined || verdict !== undefined) copies.refused.push(verdict ?? unreadable);
    else copies.events.push({ event, bytes: Buffer.from(exactText(text, event, inHand)) });
  }
  if (outcome.outputs.length === 0 && outcome.failure === undefined) copies.refused.push(filtered);
  return copies;
}

/** Code knows doubles only; numbers it left alone are as the client wrote them. */
function exactText(text: string, event: EventObject, inHand: Pick<EventInHand, 'text'>): string {
  const original = inHand.text();
  return mayBeInexact(original) ? printExactly(original, event) : text;
}

function parseObject(text: string): EventObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
