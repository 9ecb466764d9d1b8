// The product's worker thread, which first tells the benchmark the number the kernel knows it by, so that its CPU time can
// be told from that of the others: time by the wall would count its neighbours on a busy machine.

import { readlinkSync } from 'node:fs';
import { BroadcastChannel, workerData } from 'node:worker_threads';
import '../../actors/thread.ts';

export interface ThreadStarted {
  role: string;
  /** 0 where there is no /proc. */
  kernelId: number;
}

const threadChannel = 'sluice bench threads';

const channel = new BroadcastChannel(threadChannel);
const { role } = workerData as { role: string };
channel.postMessage({ role, kernelId: kernelId() } satisfies ThreadStarted);
channel.close();

function kernelId(): number {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return 0;
  }
}
