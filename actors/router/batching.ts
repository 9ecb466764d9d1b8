// How jobs of one destination go together in one request, for both kinds of destinations that take several: those that
// are sent plain events and are promised a JSON array (`config.batch`), and those whose API has a shape for many (the
// type's batch rules). Worked out once for each version of a destination.

import {
  type ArrayBatch,
  arrayBatchOf,
  arrayVerdicts,
  batchAgeMsDefault,
  mergeToArray,
} from '../destinations/array-batch.ts';
import { batchKey, batchVerdicts, mergeBodies } from '../destinations/batch.ts';
import type { BatchRules, BatchVerdict } from '../destinations/destination.ts';
import { batchRulesOf } from '../destinations/registry.ts';
import type { RequestDescriptor } from '../job.ts';
import type { DestinationConfig } from '../services/workspace.ts';

/** What is sent for one job. */
export interface Sendable {
  readonly request: RequestDescriptor;
  readonly body: Uint8Array;
}

export interface Batching {
  readonly eventsMax: number;
  readonly bytesMax: number;
  /** How long a request that is not full may wait behind others. */
  readonly ageMsMax: number;
  /** Jobs of equal keys may go together; undefined: this one goes alone. */
  keyOf(member: Sendable): string | RequestDescriptor | undefined;
  /** Fewer than `eventsMax`, where the request says so. */
  limitOf(request: RequestDescriptor): number;
  /** One request for one or many of equal keys, in their order. */
  merge(members: readonly Sendable[]): Sendable;
  /** One verdict for each of `count` jobs. */
  verdicts(code: number, text: string, count: number): readonly BatchVerdict[];
}

/** `isRemote`: the transformer delivers or merges the requests of this type. */
export function batchingOf(destination: DestinationConfig | undefined, isRemote: boolean): Batching | undefined {
  if (destination === undefined || isRemote) return undefined;
  const rules = batchRulesOf(destination);
  if (rules !== undefined) return vendorBatching(rules);
  const isPlain = destination.destinationDefinition.name.toUpperCase() === plainEventType;
  const array = isPlain ? arrayBatchOf(destination.config.batch) : undefined;
  return array === undefined ? undefined : arrayBatching(array);
}

const plainEventType = 'WEBHOOK';

function arrayBatching(limits: ArrayBatch): Batching {
  const merged = new WeakMap<RequestDescriptor, RequestDescriptor>();
  const describe = (request: RequestDescriptor): RequestDescriptor => {
    let own = merged.get(request);
    if (own === undefined) {
      own = { ...request, format: 'JSON_ARRAY' };
      merged.set(request, own);
    }
    return own;
  };
  return {
    ...limits,
    // The lane has one object for all jobs that are sent the same way.
    keyOf: ({ request }) => (request.format === 'JSON' ? request : undefined),
    limitOf: () => limits.eventsMax,
    merge: (members) => {
      const [first] = members;
      if (first === undefined) throw new Error('expected a job at least');
      return first.request.format !== 'JSON'
        ? first
        : { request: describe(first.request), body: mergeToArray(members.map(({ body }) => body)) };
    },
    verdicts: (code, text, count) => arrayVerdicts(code, text, count) ?? all({ kind: 'ended', code }, count),
  };
}

function vendorBatching(rules: BatchRules): Batching {
  return {
    eventsMax: rules.eventsMax,
    bytesMax: rules.bytesMax,
    ageMsMax: batchAgeMsDefault,
    keyOf: batchKey,
    limitOf: ({ batch }) => Math.min(rules.eventsMax, batch?.eventsMax ?? rules.eventsMax),
    merge: (members) => {
      const [first] = members;
      if (first === undefined) throw new Error('expected a job at least');
      return members.length === 1 ? first : { request: first.request, body: mergeBodies(members) };
    },
    verdicts: (code, text, count) => batchVerdicts(rules, code, text, count),
  };
}

function all(verdict: BatchVerdict, count: number): BatchVerdict[] {
  return Array.from({ length: count }, () => verdict);
}
