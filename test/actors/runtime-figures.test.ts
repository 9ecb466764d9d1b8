// What operators see of the runtime: every figure of the issue is a metric, and parked actors are named in the status.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parkedListedMax } from '../../actors/admin/contract.ts';
import { recordRuntime, runtimeCounters, threadRestarts } from '../../actors/metrics-runtime.ts';
import { parkedOf, saturatingOf } from '../../actors/status.ts';
import { envelopeTo } from '../../runtime/envelopes.ts';
import { createMetrics, defineActor, type RuntimeStats } from '../../runtime/index.ts';
import { createMetricTotals } from '../../runtime/metrics-totals.ts';
import { figuresOf } from '../../runtime/thread.ts';
import { createMemoryLinks, encodeBody } from '../../transport/index.ts';
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
    const all = [...metrics.snapshot(), ...stats.threads.flatMap(runtimeCounters)];
    const series = all.find((one) => one.name === name)?.series ?? [];
    const [found] = series.filter(({ labels }) => label === '' || Object.values(labels).includes(label));
    return found !== undefined && 'value' in found ? found.value : undefined;
  };
  assert.equal(figure('sluice_actor_restarts_total'), 1);
  assert.equal(figure('sluice_actor_parks_total'), 1);
  assert.equal(figure('sluice_actors_parked'), 1);
  assert.equal(figure('sluice_mailbox_messages'), 1);
  assert.equal(figure('sluice_dead_letters_total', 'handler-failed'), 2);
  assert.ok((figure('sluice_slices_total') ?? 0) >= 2);
  assert.ok((figure('sluice_slice_seconds_total') ?? -1) >= 0);
  assert.ok(figure('sluice_slice_longest_seconds') !== undefined);
  assert.equal(figure('sluice_link_credit_messages'), link.stats().creditEnvelopes);
  assert.equal(figure('sluice_link_credit_bytes'), link.stats().creditBytes);
  assert.equal(figure('sluice_link_outbox_messages'), 0);
  assert.deepEqual(parkedOf(stats), [{ actor: 'router/ws1:dead', thread: 'actors-1' }]);
});

test('what was counted outlives the thread that counted it, also when the next one soon counted more', async () => {
  const totals = createMetricTotals();
  const figure = (name: string, role: string): number | undefined => {
    const series = totals.read().find((one) => one.name === name)?.series ?? [];
    const found = series.find(({ labels }) => labels.role === role || labels.reason === role);
    return found !== undefined && 'value' in found ? found.value : undefined;
  };
  const publish = (stats: RuntimeStats): void => {
    for (const thread of stats.threads) totals.publish('actors-1', runtimeCounters(thread), thread.restarts);
    totals.publish('main', [threadRestarts(stats)]);
  };
  for (const [restarts, failures] of [2, 5, 1].entries()) {
    const runtime = testRuntime({ definitions: [poisonous] });
    for (let time = 0; time < failures; time += 1) {
      runtime.ref<number>('router', `ws1:${time}`).tell(time);
      await runtime.settle();
    }
    publish(statsOf(runtime.system, restarts));
    publish(statsOf(runtime.system, restarts));
    await runtime.stop();
  }
  assert.equal(figure('sluice_actor_restarts_total', 'actors'), 8);
  assert.equal(figure('sluice_dead_letters_total', 'handler-failed'), 8);
  assert.equal(figure('sluice_thread_restarts_total', 'actors'), 2);
});

test('a thread that gives no answer takes nothing from the counters', () => {
  const runtime = testRuntime({ definitions: [] });
  const [thread] = statsOf(runtime.system).threads;
  assert.ok(thread !== undefined);
  assert.deepEqual(runtimeCounters({ ...thread, system: undefined, deadLetters: {} }), []);
  return runtime.stop();
});

test('an actor that uses its thread alone is named with its share and what to do, once it has done so for a while', async (t) => {
  let clock: { spend(ms: number): void } | undefined;
  const greedy = defineActor<number>({
    kind: 'router',
    role: 'any',
    remedy: 'split it',
    create: (context) => ({
      onMessage: (ms) => {
        clock?.spend(ms);
        if (ms > 0) context.schedule('next', 1000 - ms, ms);
      },
    }),
  });
  const runtime = testRuntime({ definitions: [greedy] }, t);
  clock = runtime.clock;
  const warnings = (): unknown[][] =>
    runtime.log.filter(({ level }) => level === 'warn').map(({ fields }) => [fields.actor, fields.remedy]);
  runtime.ref<number>('router', 'modest').tell(100);
  runtime.ref<number>('router', 'hot').tell(850);
  await runtime.advance(8_000);
  assert.deepEqual(
    [warnings().filter(([actor]) => actor !== undefined), saturatingOf(statsOf(runtime.system))],
    [[], []],
  );
  await runtime.advance(60_000);
  const named = warnings().filter(([actor]) => actor !== undefined);
  assert.deepEqual(named, [['router/hot', 'split it']], 'once, not every second');
  const [saturating, ...others] = saturatingOf(statsOf(runtime.system));
  assert.equal(saturating?.actor, 'router/hot');
  assert.ok(saturating !== undefined && saturating.share > 0.8 && saturating.share <= 1, String(saturating?.share));
  assert.deepEqual(others, []);
});

test('what a link carried stays counted when it ends and another takes its place', async (t) => {
  const runtime = testRuntime({ definitions: [] }, t);
  for (let life = 1; life <= 3; life += 1) {
    const [link] = createMemoryLinks({ threads: [0, 1], schedule: () => undefined });
    runtime.system.attachLink(link);
    link.send(envelopeTo('message', { kind: 'any', key: 'k' }, 0, encodeBody(life)));
    await runtime.settle();
    assert.equal(runtime.system.stats().traffic.sentEnvelopes, life);
    if (life === 1) runtime.system.detachLink(1, 'the test ends it');
    assert.equal(runtime.system.stats().traffic.sentEnvelopes, life);
  }
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

function statsOf(system: Parameters<typeof figuresOf>[0], restarts = 0): RuntimeStats {
  const figures = figuresOf(system, undefined);
  const thread = {
    threadId: 1,
    role: 'actors',
    state: 'live',
    restarts,
    uptimeMs: 1,
    eventLoopUtilization: 0,
  } as const;
  return { threads: [{ ...thread, ...figures }], deadLetters: figures.deadLetters };
}
