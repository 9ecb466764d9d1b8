// Between the bytes of a job and the event they hold: parsed once, and written anew only where something changed, with
// every number as the client wrote it (exact-json.ts).

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { GatewayParameters } from '../job.ts';
import { mayBeInexact, printExactly } from './exact-json.ts';
import { replaceMembers } from './member-splice.ts';
import type { TimeChanges } from './timestamps.ts';

const closingBrace = 0x7d;

/** The event's bytes as they are but for the changes; new fields are spliced in before the closing brace. */
export function encodeEvent(
  original: Buffer,
  event: EventObject,
  changes: Readonly<TimeChanges>,
): readonly Uint8Array[] {
  if (changes.rewritten) {
    const text = original.toString();
    return [Buffer.from(mayBeInexact(text) ? printExactly(text, event) : JSON.stringify(event))];
  }
  const { replaced } = changes;
  const pieces: Uint8Array[] = replaced.length === 0 ? [original] : replaceMembers(original, event, replaced);
  if (changes.added.length === 0) return pieces;
  // The brace stands in the last piece: what is replaced ends before it.
  const last = pieces.pop() ?? original;
  const end = last.lastIndexOf(closingBrace);
  const fields = changes.added.map((name) => `${JSON.stringify(name)}:${JSON.stringify(event[name])}`).join(',');
  const isEmpty = Object.keys(event).length === changes.added.length;
  return [...pieces, last.subarray(0, end), Buffer.from(`${isEmpty ? '' : ','}${fields}}`)];
}

let lastText = '';
let lastParameters: GatewayParameters | undefined;

/** Events of one client have the same parameters, and often come in a row: they are parsed once, and never changed. */
export function readParameters(text: string): GatewayParameters | undefined {
  if (text !== lastText) {
    lastParameters = parseParameters(text);
    lastText = text;
  }
  return lastParameters;
}

function parseParameters(text: string): GatewayParameters | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isGatewayParameters(value) ? Object.freeze(value) : undefined;
  } catch {
    return undefined;
  }
}

/** The gateway wrote them: what the pipeline needs is looked at, the rest is passed on. */
function isGatewayParameters(value: unknown): value is GatewayParameters {
  return isObject(value) && typeof value.source_id === 'string';
}

export function parseEvent(payload: Buffer): EventObject | undefined {
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
