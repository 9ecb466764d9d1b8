// Many events in one request, as a JSON array: `batch` in the configuration of a destination that is sent plain events,
// { "maxEvents": 100, "maxBytes": 4000000, "maxAgeMs": 1000 }. A receiver that takes some events and not others says so
// with 207 and an array of as many objects with a `status` each, in the order of the events; any other answer is about
// all of them. With it every request is an array, also one that holds a single event.

import { type BatchVerdict, isObject } from './destination.ts';

export interface ArrayBatch {
  readonly eventsMax: number;
  /** Of the events together; a larger one goes alone. */
  readonly bytesMax: number;
  /** How long a request that is not full may wait behind others. */
  readonly ageMsMax: number;
}

export const batchAgeMsDefault = 1_000;

const keys = {
  maxEvents: { default: 100, max: 10_000 },
  maxBytes: { default: 4_000_000, max: 32 * 1024 * 1024 },
  maxAgeMs: { default: batchAgeMsDefault, max: 60_000 },
} as const;
const multiStatus = 207;
const unreadableStatus = 500;

const opening = Buffer.from('[');
const comma = Buffer.from(',');
const closing = Buffer.from(']');

/** Undefined where no batches are wanted, or the setting is none. */
export function arrayBatchOf(setting: unknown): ArrayBatch | undefined {
  if (isOff(setting) || arrayBatchProblem(setting) !== undefined) return undefined;
  return {
    eventsMax: limitOf(setting, 'maxEvents'),
    bytesMax: limitOf(setting, 'maxBytes'),
    ageMsMax: limitOf(setting, 'maxAgeMs'),
  };
}

/** What is wrong with the setting. */
export function arrayBatchProblem(setting: unknown): string | undefined {
  if (isOff(setting) || setting === true) return undefined;
  if (!isObject(setting)) return 'batch is not an object like {"maxEvents": 100}';
  for (const [key, { max }] of Object.entries(keys)) {
    const value = setting[key] ?? 1;
    const isGood = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;
    if (!isGood) return `batch.${key} is not an integer from 1 to ${max}`;
  }
  return undefined;
}

export function mergeToArray(bodies: readonly Uint8Array[]): Uint8Array {
  const pieces: Uint8Array[] = [opening];
  for (const [index, body] of bodies.entries()) {
    if (index > 0) pieces.push(comma);
    pieces.push(body);
  }
  pieces.push(closing);
  return Buffer.concat(pieces);
}

/** What the answer says about each of `count` events; undefined: the same about all. */
export function arrayVerdicts(code: number, text: string, count: number): BatchVerdict[] | undefined {
  if (code !== multiStatus) return undefined;
  try {
    const parts: unknown = JSON.parse(text);
    if (!Array.isArray(parts) || parts.length !== count) return undefined;
    return parts.map((part: unknown): BatchVerdict => {
      const status = isObject(part) ? part.status : undefined;
      const isStatus = typeof status === 'number' && Number.isInteger(status) && status >= 100 && status <= 599;
      // One that cannot be read has not been said to have arrived.
      return { kind: 'ended', code: isStatus ? status : unreadableStatus, reason: JSON.stringify(part) };
    });
  } catch {
    return undefined;
  }
}

function isOff(setting: unknown): boolean {
  return setting === undefined || setting === null || setting === false;
}

function limitOf(setting: unknown, key: keyof typeof keys): number {
  const value = isObject(setting) ? setting[key] : undefined;
  return typeof value === 'number' ? value : keys[key].default;
}
