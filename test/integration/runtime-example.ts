// The main thread of the example in ARCHITECTURE.md, which shows this file from its imports on.

import { type ActorLog, startRuntime } from '../../runtime/index.ts';
import { workerEntry } from '../../transport/index.ts';
import type { CounterMessage } from './runtime-example-worker.ts';

export async function countVisits(log: ActorLog): Promise<number> {
  const runtime = await startRuntime({
    entry: workerEntry('./runtime-example-worker', import.meta.url),
    groups: [{ role: 'workers', count: 2 }],
    roles: { counter: 'workers' },
    threadData: {},
    log,
    onFatal: (reason) => log.error({ reason }, 'threads were lost too often'),
  });
  const visits = runtime.ref<CounterMessage>('counter', 'visits of page 7');
  visits.tell({ kind: 'add', by: 1 });
  visits.tell({ kind: 'add', by: 2 });
  const sum = await visits.ask<number>({ kind: 'read' }, { timeoutMs: 10_000 });
  await runtime.drain({ deadlineMs: 5_000 });
  await runtime.stop();
  return sum;
}
