// What operators see of the runtime: every figure of the issue is a metric, and parked actors are named in the status.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parkedListedMax } from '../../actors/admin/contract.ts';
import { recordRuntime } from '../../actors/metrics-runtime.ts';
import { parkedOf } from '../../actors/status.ts';
import { createMetrics, defineActor, type RuntimeStats } from '../../runtime/index.ts';
import { figuresOf } from '../../runtime/thread.ts';
import { createMemoryLinks } from '../../transport/index.ts';
import { testRuntime } from '../support/test-runtime.ts';

const poisonous = defineActor<number>({
  kind: 'router',
  role: 'any',
  supervision: { maxRestarts: 1, jitter: 0 },
  create: () => ({
    onMessage: () => {
      throw new Error('poison');
    },
  }),
});

test('restarts, parks, dead letters, slices, mailboxes and credits are metrics, and the parked actor is named', async (t) => {
  const runtime = testRuntime({ definitions: [poisonous] }, t);
  const [link] = createMemoryLinks({ threads: [0, 1], schedule: (deliver) => deliver() });
  runtime.system.attachLink(link);
  for (let time = 0; time < 2; time += 1) {
    runtime.ref<number>('router', 'ws1:dead').tell(time);
    await runtime.advance(1000);
  }
  runtime.ref<number>('router', 'ws1:dead').tell(3);
  const metrics = createMetrics();
  const stats = statsOf(runtime.system);
  recordRuntime(metrics, stats);
  const figure = (name: string, label = ''): number | undefined => {
    const series = metrics.snapshot().find((one) => one.name === name)?.series ?? [];
    const [found] = series.filter(({ labels }) => label === '' || Object.values(labels).includes(label));
    return found !== undefined && 'value' in found ? found.value : undefined;
  };
  assert.equal(figure('sluice_actor_restarts'), 1);
  assert.equal(figure('sluice_actor_parks'), 1);
  assert.equal(figure('sluice_actors_parked'), 1);
  assert.equal(figure('sluice_mailbox_messages'), 1);
  assert.equal(figure('sluice_dead_letters', 'handler-failed'), 2);
  assert.ok((figure('sluice_slices') ?? 0) >= 2);
  assert.ok(figure('sluice_slice_seconds') !== undefined);
  assert.ok(figure('sluice_slice_longest_seconds') !== undefined);
  assert.equal(figure('sluice_link_credit_messages'), link.stats().creditEnvelopes);
  assert.equal(figure('sluice_link_credit_bytes'), link.stats().creditBytes);
  assert.equal(figure('sluice_link_outbox_messages'), 0);
  assert.deepEqual(parkedOf(stats), [{ actor: 'router/ws1:dead', thread: 'actors-1' }]);
});

test('the list of parked actors is bounded', () => {
  const runtime = testRuntime({ definitions: [] });
  const stats = statsOf(runtime.system);
  for (const { system } of stats.threads) {
    system?.parked.push(...Array.from({ length: parkedListedMax + 5 }, (_, index) => `router/p${index}`));
  }
  assert.equal(parkedOf(stats).length, parkedListedMax);
  return runtime.stop();
});

function statsOf(system: Parameters<typeof figuresOf>[0]): RuntimeStats {
  const figures = figuresOf(system, undefined);
  const thread = {
    threadId: 1,
    role: 'actors',
    state: 'live',
    restarts: 0,
    uptimeMs: 1,
    eventLoopUtilization: 0,
  } as const;
  return { threads: [{ ...thread, ...figures }], deadLetters: figures.deadLetters };
}
