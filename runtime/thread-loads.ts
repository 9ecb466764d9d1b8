// How busy the threads are between which actors can move: what the rebalancer looks at.

import type { ThreadLoad } from './rebalancer.ts';
import type { Slot, ThreadGroup } from './thread-slot.ts';

/** Where actors can go from one thread to another; native storage stays where it is. */
export function mayShare(group: ThreadGroup): boolean {
  return group.count > 1 && group.drainOnly !== true;
}

/** A thread that does not answer in time is left out. */
export async function lookAtLoads(slots: readonly Slot[], timeoutMs: number): Promise<ThreadLoad[]> {
  const asked = slots.filter((slot) => slot.state === 'live' && mayShare(slot.group));
  const loads = asked.map(async ({ threadId, group, thread }): Promise<ThreadLoad[]> => {
    const load = await thread.control.call('load', [], { timeoutMs }).catch(() => undefined);
    return load === undefined
      ? []
      : [{ threadId, role: group.role, utilization: thread.loadUtilization(), actors: load.actors, hot: load.hot }];
  });
  return (await Promise.all(loads)).flat();
}
