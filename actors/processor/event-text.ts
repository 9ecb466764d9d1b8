// Between the bytes of a job and the event they hold: parsed once, and written anew only where something changed.

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { GatewayParameters } from '../job.ts';

const closingBrace = 0x7d;

/** The event's bytes as they are when it only got new fields: they are spliced in before its closing brace. */
export function encodeEvent(
  payload: Buffer,
  event: EventObject,
  changes: { added: readonly string[]; rewritten: boolean },
): readonly Uint8Array[] {
  if (changes.rewritten) return [Buffer.from(JSON.stringify(event))];
  if (changes.added.length === 0) return [payload];
  const end = payload.lastIndexOf(closingBrace);
  const fields = changes.added.map((name) => `${JSON.stringify(name)}:${JSON.stringify(event[name])}`).join(',');
  const isEmpty = Object.keys(event).length === changes.added.length;
  return [payload.subarray(0, end), Buffer.from(`${isEmpty ? '' : ','}${fields}}`)];
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
