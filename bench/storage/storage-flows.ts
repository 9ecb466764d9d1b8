// What is done with a storage engine to measure it: keep commits of one size under way, run jobs through it from storing
// to done, let a backlog grow and drain it.

import type { QueueName } from '../../actors/job.ts';
import { within } from '../../test/support/poll.ts';
import type { RowFrame, StorageBench } from './storage-bench.ts';
import type { ConsumedQueue } from './storage-consumer.ts';

/** Submissions on their way to a lane: enough that the next group is there when the last one is committed. */
const submissionsUnderWay = 3;
const finishedMs = 3_600_000;

/** Stores at least `count` jobs; answers how many it stored. */
export async function storeJobs(
  bench: StorageBench,
  queue: QueueName,
  frames: readonly RowFrame[],
  count: number,
  mayGoOn: () => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  let unsent = count;
  let stored = 0;
  const sender = async (frame: RowFrame): Promise<void> => {
    while (unsent > 0) {
      unsent -= frame.count;
      await mayGoOn();
      await bench.store(queue, frame);
      stored += frame.count;
    }
  };
  await Promise.all(frames.flatMap((frame) => Array.from({ length: submissionsUnderWay }, () => sender(frame))));
  return stored;
}

/** Jobs per second from the first submission to the last one done, never more than `window` unfinished. */
export async function cycleRate(
  bench: StorageBench,
  frames: readonly RowFrame[],
  { jobs, window, last = 'gw' }: { jobs: number; window: number; last?: ConsumedQueue },
): Promise<number> {
  const { consumers } = bench;
  consumers.isOpen = true;
  const doneBefore = consumers.done[last];
  let begun = 0;
  const waiting: (() => void)[] = [];
  let finish: () => void = () => undefined;
  let stored = Number.POSITIVE_INFINITY;
  consumers.onDone = () => {
    const done = consumers.done[last] - doneBefore;
    while (waiting.length > 0 && begun - done < window) {
      begun += frames[0]?.count ?? 0;
      waiting.shift()?.();
    }
    if (done >= stored) finish();
  };
  const mayGoOn = (): Promise<void> => {
    if (begun - (consumers.done[last] - doneBefore) < window) {
      begun += frames[0]?.count ?? 0;
      return Promise.resolve();
    }
    return new Promise((resolve) => waiting.push(resolve));
  };
  const beganAt = performance.now();
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  stored = await storeJobs(bench, 'gw', frames, jobs, mayGoOn);
  consumers.onDone();
  await within(`${stored} jobs to be done`, finishedMs, finished);
  consumers.onDone = () => undefined;
  return (stored / (performance.now() - beganAt)) * 1000;
}

/** Jobs per second until everything pending is done. */
export async function drainRate(bench: StorageBench, jobs: number): Promise<number> {
  const { consumers } = bench;
  const until = consumers.done.gw + jobs;
  const drained = new Promise<void>((resolve) => {
    consumers.onDone = () => {
      if (consumers.done.gw >= until) resolve();
    };
  });
  const beganAt = performance.now();
  consumers.isOpen = true;
  await within(`${jobs} pending jobs to be done`, finishedMs, drained);
  consumers.onDone = () => undefined;
  return (jobs / (performance.now() - beganAt)) * 1000;
}
