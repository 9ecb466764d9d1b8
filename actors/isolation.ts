// Isolation keys: which jobs share one partition actor (design section 4). The key decides who can hurt whom.
// A partition that is too much for one thread is split into shards by visitor (`shards` in the settings).

import { Shards, shardsMax } from '../runtime/index.ts';
import { orderKeys } from './job.ts';

export type ProcessorIsolation = 'none' | 'workspace' | 'source';
export type RouterIsolation = 'none' | 'workspace' | 'destination';

export function processorPartition(mode: ProcessorIsolation, workspaceId: string, sourceId: string): string {
  switch (mode) {
    case 'none':
      return '';
    case 'workspace':
      return workspaceId;
    case 'source':
      return sourceId;
  }
}

export function routerPartition(mode: RouterIsolation, workspaceId: string, destinationId: string): string {
  switch (mode) {
    case 'none':
      return '';
    case 'workspace':
      return workspaceId;
    case 'destination':
      return destinationId;
  }
}

/** What a `shards` setting must look like; completes the sentence "expected …". */
export const splitsExpected = `partitions and their shards like source-1=4,source-2=2 (* for all others; 1 to ${shardsMax})`;
const others = '*';

/** How partitions are split, by a `shards` setting. */
export class Splits {
  readonly #counts: ReadonlyMap<string, number>;

  /** Not split at all where the text is not a good one: settings are checked before they are used. */
  constructor(setting: string) {
    this.#counts = parseSplits(setting) ?? new Map();
  }

  countOf(partition: string): number {
    return this.#counts.get(partition) ?? this.#counts.get(others) ?? 1;
  }

  shardsOf(partition: string): Shards {
    return new Shards(partition, this.countOf(partition));
  }
}

/** Undefined when the text is no list of partitions and shards. */
export function parseSplits(setting: string): ReadonlyMap<string, number> | undefined {
  const counts = new Map<string, number>();
  if (setting.trim() === '') return counts;
  for (const entry of setting.split(',')) {
    const equals = entry.lastIndexOf('=');
    const partition = entry.slice(0, Math.max(equals, 0)).trim();
    const count = entry.slice(equals + 1).trim();
    const isGood = equals >= 0 && /^\d{1,4}$/.test(count) && Number(count) >= 1 && Number(count) <= shardsMax;
    if (!isGood || counts.has(partition)) return undefined;
    counts.set(partition, Number(count));
  }
  return counts;
}

/**
 * By what a job's shard is chosen: its anonymous id, or its user id when it has none. It must follow from the job alone,
 * so it can be only one of the two keys that order is kept by; the anonymous id is the one a visitor keeps when he signs
 * up. Between shards, events of one user under several anonymous ids may overtake each other.
 */
export function visitorOf(userId: string): string {
  return orderKeys(userId)[0] ?? '';
}
