// One partition above one core: it is split into shards by user, so that its load spreads over threads while each
// user's messages still go to one actor, in order. A shard is an actor like any other; its key names partition and shard.

import type { ActorRef } from './actor.ts';
import { hashAddress } from './address.ts';

/** Who makes references: a runtime, an actor system, or the context of an actor. */
export interface RefSource {
  ref<Message>(kind: string, key: string): ActorRef<Message>;
}

export const shardsMax = 1024;
const mark = '#';

/** `partition#3` of `partition`. Not split (`shards` 1): the partition itself. */
export function shardKey(partition: string, userId: string, shards: number): string {
  checkShards(shards);
  if (shards === 1) return partition;
  return `${partition}${mark}${hashAddress('user', userId) % shards}`;
}

/** All actors of a partition, for what concerns each of them. */
export function shardKeys(partition: string, shards: number): string[] {
  checkShards(shards);
  if (shards === 1) return [partition];
  return Array.from({ length: shards }, (_, shard) => `${partition}${mark}${shard}`);
}

/** The partition a shard's key belongs to; a key that is not one of a shard is its own. */
export function partitionOf(key: string): string {
  const at = key.lastIndexOf(mark);
  return at > 0 && /^\d+$/.test(key.slice(at + 1)) ? key.slice(0, at) : key;
}

/** References to the shards of one partition, made once: choosing one costs a hash. */
export class ShardedRef<Message> {
  readonly shards: readonly ActorRef<Message>[];

  constructor(source: RefSource, kind: string, partition: string, shards: number) {
    this.shards = shardKeys(partition, shards).map((key) => source.ref<Message>(kind, key));
  }

  /** The actor that has this user, always the same one. */
  forUser(userId: string): ActorRef<Message> {
    const { shards } = this;
    const chosen = shards[shards.length === 1 ? 0 : hashAddress('user', userId) % shards.length];
    if (chosen === undefined) throw new RangeError('expected a partition to have a shard');
    return chosen;
  }
}

function checkShards(shards: number): void {
  if (Number.isInteger(shards) && shards >= 1 && shards <= shardsMax) return;
  throw new RangeError(`expected 1 to ${shardsMax} shards, got ${shards}`);
}
