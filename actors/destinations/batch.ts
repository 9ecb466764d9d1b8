// Several events in one request, for vendors that take them so. A job's body is always a whole request with one event;
// it is merged by cutting the events out of their bodies and putting them into one, so that a job needs nobody else to
// be sent, and a retry may send it alone or in other company.

import type { RequestDescriptor } from '../job.ts';
import {
  type BatchRules,
  type BatchVerdict,
  type EventObject,
  encodeRequest,
  isObject,
  type TransformResult,
} from './destination.ts';

/** Bodies of one shape: what stands before and after the event is the same for all. */
export function batchTo(
  request: RequestDescriptor,
  open: string,
  close: string,
  eventsMax?: number,
): (...elements: readonly unknown[]) => TransformResult {
  const limit = eventsMax === undefined ? {} : { eventsMax };
  const batch = { open: Buffer.byteLength(open), close: Buffer.byteLength(close), ...limit };
  const encoded = encodeRequest({ ...request, batch });
  return (...elements) => {
    const body = Buffer.from(`${open}${elements.map((element) => JSON.stringify(element)).join(',')}${close}`);
    return { kind: 'deliver', request: encoded, body };
  };
}

export interface BatchMember {
  readonly request: RequestDescriptor;
  readonly body: Uint8Array;
}

/** Members of equal keys may be merged. Undefined: this one goes alone. */
export function batchKey({ request, body }: BatchMember): string | undefined {
  const { method, endpoint, headers, params, format, batch } = request;
  if (batch === undefined || batch.open + batch.close >= body.byteLength) return undefined;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const open = bytes.toString('latin1', 0, batch.open);
  const close = bytes.toString('latin1', bytes.byteLength - batch.close);
  return JSON.stringify([method, endpoint, headers, params, format, batch.eventsMax, open, close]);
}

/** The body of one request with the events of all, in their order. They must have the same key. */
export function mergeBodies(members: readonly BatchMember[]): Uint8Array {
  const [first] = members;
  const shape = first?.request.batch;
  if (first === undefined || shape === undefined) throw new Error('expected members that may be merged');
  const pieces: Uint8Array[] = [first.body.subarray(0, shape.open)];
  for (const [index, { body }] of members.entries()) {
    if (index > 0) pieces.push(comma);
    pieces.push(body.subarray(shape.open, body.byteLength - shape.close));
  }
  pieces.push(first.body.subarray(first.body.byteLength - shape.close));
  return Buffer.concat(pieces);
}

/** One verdict for each of `count` events that were sent together. */
export function batchVerdicts(rules: BatchRules, code: number, text: string, count: number): BatchVerdict[] {
  const all = (verdict: BatchVerdict): BatchVerdict[] => Array.from({ length: count }, () => verdict);
  if (isLater(code)) return all({ kind: 'ended', code });
  const own = rules.verdicts?.({ code, body: parseAnswer(text) }, count);
  if (own !== undefined && own.length === count) return own;
  return all(code < 300 || count === 1 ? { kind: 'ended', code } : { kind: 'alone' });
}

/** Verdicts by index: those that are named ended with `code`, the others as `rest` says. Undefined: none is named. */
export function verdictsByIndex(
  named: ReadonlyMap<number, string>,
  { code, rest, count }: { code: number; rest: BatchVerdict; count: number },
): BatchVerdict[] | undefined {
  const isInside = [...named.keys()].some((index) => Number.isInteger(index) && index >= 0 && index < count);
  if (!isInside) return undefined;
  return Array.from({ length: count }, (_, index): BatchVerdict => {
    const reason = named.get(index);
    return reason === undefined ? rest : { kind: 'ended', code, reason };
  });
}

/** 408, 429 and 5xx: as for a single request, all of it again. */
function isLater(code: number): boolean {
  return code < 200 || code === 408 || code === 429 || code >= 500;
}

function parseAnswer(text: string): EventObject {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

const comma = Buffer.from(',');
