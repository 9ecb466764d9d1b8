// How much is waiting, by queue and by workspace, from what the storage actor holds in memory anyway: what the gateway's
// limits go by. Asked about twice a second, so it walks over the partitions instead of keeping sums at every job.
// Bytes are those of job rows; after a restart they are an estimate until the backlog of that time is done.

import { partitionOf } from '../../runtime/index.ts';
import type { Environment } from '../environment.ts';
import type { QueueName } from '../job.ts';
import type { WorkspaceIndex } from '../services/workspace.ts';
import type { StoragePressure } from './contract.ts';
import type { Partition } from './partition.ts';

/** Workspaces told of, those with most bytes first; all that are over their quota are told in any case. */
const largestMax = 20;

/** `owned`: undefined while the lane is another process's, which tells for itself. */
export function pressureOf(
  owned: { handOff: { all(): Iterable<Partition> }; lane: { connected: boolean } } | undefined,
  environment: Pick<Environment, 'workspace' | 'settings'>,
): Omit<StoragePressure, 'diskFull'> {
  return { ...measurePressure(owned?.handOff.all() ?? [], environment), isAway: owned?.lane.connected === false };
}

/** Exported for its test. */
export function measurePressure(
  partitions: Iterable<Partition>,
  { workspace: holder, settings }: Pick<Environment, 'workspace' | 'settings'>,
): Pick<StoragePressure, 'queues' | 'workspaces'> {
  const workspace = holder.current;
  const { workspaceBytesMax } = settings.storage;
  const queues = new Map<QueueName, number>();
  const workspaces = new Map<string, number>();
  for (const { queue, key, pendingBytes } of partitions) {
    if (pendingBytes === 0) continue;
    queues.set(queue, (queues.get(queue) ?? 0) + pendingBytes);
    const workspaceId = workspaceOf(queue, partitionOf(key), workspace);
    if (workspaceId !== '') workspaces.set(workspaceId, (workspaces.get(workspaceId) ?? 0) + pendingBytes);
  }
  const sorted = [...workspaces].sort(([, a], [, b]) => b - a);
  return {
    queues: [...queues].map(([queue, bytes]) => ({ queue, bytes: Math.round(bytes) })),
    workspaces: sorted
      .filter(([, bytes], index) => index < largestMax || (workspaceBytesMax > 0 && bytes >= workspaceBytesMax))
      .map(([workspaceId, bytes]) => ({ workspaceId, bytes: Math.round(bytes) })),
  };
}

/** '' where a partition is nobody's own (isolation `none`) or its source or destination is gone. */
function workspaceOf(queue: QueueName, partition: string, workspace: WorkspaceIndex): string {
  if (partition === '') return '';
  const place = queue === 'gw' ? workspace.sourceById(partition) : workspace.destinationById(partition);
  if (place !== undefined) return place.workspaceId;
  return workspace.hasWorkspace(partition) ? partition : '';
}
