// Which storage lane a job belongs to, and how its consumers are called. A lane is a shard by itself: whatever a job of
// a lane becomes stays in that lane, so that no commit ever crosses two of them. Workspaces are spread over 256 groups
// and groups over lanes, so that all sources and destinations of one workspace share a lane and keep order.

import { hashAddress } from '../runtime/index.ts';

/** Enough for any number of lanes and processes; fixed, because it decides where stored jobs are looked for. */
const partitionGroups = 256;
const mark = '/';

export function laneOf(workspaceId: string, lanes: number): number {
  if (lanes === 1) return 0;
  const group = hashAddress('workspace', workspaceId) % partitionGroups;
  return Math.floor((group * lanes) / partitionGroups);
}

/**
 * Key of the actor that consumes a lane's partition. A partition may exist in several lanes (isolation `none`, or a
 * source that was given to another workspace): each has an actor of its own, which works with one lane only.
 */
export function consumerKey(lane: number, partition: string, lanes: number): string {
  return lanes === 1 ? partition : `${lane}${mark}${partition}`;
}

/** The inverse of `consumerKey`. */
export function consumerPlace(key: string, lanes: number): { lane: number; partition: string } {
  if (lanes === 1) return { lane: 0, partition: key };
  const at = key.indexOf(mark);
  return { lane: Number(key.slice(0, at)), partition: key.slice(at + 1) };
}
