// CPU time of the product's worker threads inside the benchmark's own process, by role.

import { readFileSync } from 'node:fs';
import { BroadcastChannel } from 'node:worker_threads';
import type { Cleanup } from '../../test/support/cleanup.ts';
import { cpuMsOfStat } from '../harness/process-cpu.ts';
import type { ThreadStarted } from './stage-thread.ts';

/** As in stage-thread.ts, which must not be loaded in the main thread. */
const threadChannel = 'sluice bench threads';

export class StageCpu {
  readonly #threads: ThreadStarted[] = [];

  constructor(cleanup: Cleanup) {
    const channel = new BroadcastChannel(threadChannel);
    channel.onmessage = (event: unknown) => {
      const started = (event as { data: ThreadStarted }).data;
      if (started.kernelId > 0) this.#threads.push(started);
    };
    channel.unref();
    cleanup.after(() => channel.close());
  }

  /** Milliseconds since their start; undefined where the kernel does not tell. */
  busyMs(role: string): number | undefined {
    const own = this.#threads.filter((thread) => thread.role === role);
    if (own.length === 0) return undefined;
    return own.reduce((sum, { kernelId }) => sum + taskMs(kernelId), 0);
  }
}

function taskMs(kernelId: number): number {
  try {
    return cpuMsOfStat(readFileSync(`/proc/self/task/${kernelId}/stat`, 'utf8'));
  } catch {
    // It ended: nothing is added any more.
    return 0;
  }
}
