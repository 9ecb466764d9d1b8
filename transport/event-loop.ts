// How busy a thread's event loop is, since the last reading. It lives here because only this layer may ask the process.

import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import type { Worker } from 'node:worker_threads';

/** Returns a function that gives the busy share, 0..1, since its previous call; of this thread, or of a worker. */
export function eventLoopGauge(worker?: Worker): () => number {
  const source = worker === undefined ? performance : worker.performance;
  let last: EventLoopUtilization = source.eventLoopUtilization();
  return () => {
    const now = source.eventLoopUtilization();
    const { utilization } = source.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
