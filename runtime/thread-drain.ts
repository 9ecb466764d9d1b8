// The orderly end of the threads: actors stop group by group, then the threads leave by themselves. Only a thread that
// is still there after all deadlines is terminated, since that can end the process when it holds native storage.

import type { DrainOutcome } from './drain.ts';
import type { DrainClock } from './drain-clock.ts';
import type { Clock } from './seams.ts';
import type { Slot, ThreadGroup, ThreadTuning } from './thread-slot.ts';

/** Stops all actors of one group; `laterGroups` still need their share of the time. */
export async function drainGroup(
  group: ThreadGroup,
  slots: readonly Slot[],
  clock: DrainClock,
  { laterGroups, drainGraceMs }: { laterGroups: number; drainGraceMs: number },
): Promise<DrainOutcome> {
  const shareMs = clock.shareMs(laterGroups);
  const outcomes = slots.map(async (slot) => {
    // Lost or starting again: it has no actors, and gets none any more.
    if (slot.group !== group || slot.state === 'left' || slot.state === 'lost' || slot.state === 'starting')
      return finished;
    const late: DrainOutcome = { clean: false, unfinished: [`thread ${slot.threadId} (${group.role})`] };
    if (slot.state !== 'live') return late;
    slot.state = 'draining';
    const timeoutMs = shareMs + drainGraceMs;
    const answer = slot.thread.control.call('drain', [shareMs], { timeoutMs }).catch(() => late);
    return await Promise.race([answer, clock.expired.then(() => late)]);
  });
  const unfinished = (await Promise.all(outcomes)).flatMap((outcome) => outcome.unfinished);
  return { clean: unfinished.length === 0, unfinished };
}

const finished: DrainOutcome = { clean: true, unfinished: [] };

/** The deadline of the drain under way came nearer. */
export function hurryDrain(slots: readonly Slot[], deadlineMs: number, drainGraceMs: number): void {
  for (const slot of slots) {
    if (slot.state !== 'draining') continue;
    // Its outcome comes with the first call; an error here only means that it is too late to hurry.
    slot.thread.control.call('drain', [deadlineMs], { timeoutMs: deadlineMs + drainGraceMs }).catch(() => undefined);
  }
}

/** Lets the threads end by themselves, then terminates what is left; returns the slots that had to be. */
export async function leaveThreads(slots: readonly Slot[], clock: Clock, tuning: ThreadTuning): Promise<Slot[]> {
  const staying = new Set(slots.filter((slot) => slot.state !== 'left'));
  const leaving = [...staying].map(async (slot) => {
    // A thread that cannot answer is found by its exit not coming.
    slot.thread.control.call('leave', [], { timeoutMs: tuning.leaveMs }).catch(() => undefined);
    await slot.thread.exited;
    staying.delete(slot);
  });
  await Promise.race([
    Promise.all(leaving),
    new Promise<void>((resolve) => {
      clock.setTimer(tuning.leaveMs, resolve);
    }),
  ]);
  const terminated = [...staying];
  await Promise.all(terminated.map((slot) => slot.thread.terminate()));
  return terminated;
}
