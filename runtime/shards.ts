// One partition above one core: it is split into shards by user, so that its load spreads over threads while each
// user's messages still go to one actor, in order. A shard is an actor like any other; its key names partition and shard.

import { strict as assert } from 'node:assert';
import { hashAddress } from './address.ts';

export const shardsMax = 1024;
const mark = '#';

/** The shards of one partition, made once: choosing one costs a hash of the user, and nothing where there is no choice. */
export class Shards {
  readonly partition: string;
  /** Keys of all actors of the partition: `partition#3`; not split, the partition itself. */
  readonly keys: readonly string[];

  constructor(partition: string, count: number) {
    const isCount = Number.isInteger(count) && count >= 1 && count <= shardsMax;
    if (!isCount) throw new RangeError(`expected 1 to ${shardsMax} shards, got ${count}`);
    this.partition = partition;
    this.keys = count === 1 ? [partition] : Array.from({ length: count }, (_, shard) => `${partition}${mark}${shard}`);
  }

  get isSplit(): boolean {
    return this.keys.length > 1;
  }

  /** The actor that has this user, always the same one. */
  keyOf(user: string): string {
    const { keys } = this;
    const key = keys[keys.length === 1 ? 0 : hashAddress('user', user) % keys.length];
    assert(key !== undefined, 'expected a partition to have a shard');
    return key;
  }
}

/** The partition a shard's key belongs to; a key that is not one of a shard is its own. */
export function partitionOf(key: string): string {
  const at = key.lastIndexOf(mark);
  return at >= 0 && /^\d+$/.test(key.slice(at + 1)) ? key.slice(0, at) : key;
}
