// Proves the sum over threads: nothing counted twice, nothing lost and nothing going backwards when threads are
// respawned at any moment.

import assert from 'node:assert';
import test from 'node:test';
import fc from 'fast-check';
import { createMetrics, type MetricSnapshot } from '../../runtime/metrics.ts';
import { createMetricTotals, type MetricTotals } from '../../runtime/metrics-totals.ts';

test('adds up counters and histograms of all threads and keeps gauges apart', () => {
  const totals = createMetricTotals();
  totals.publish('actors-1', counted(3, 5));
  totals.publish('actors-2', counted(4, 6));
  assert.deepEqual(numbers(totals, 'sluice_events_total'), { '{"source":"a"}': 7 });
  assert.deepEqual(numbers(totals, 'sluice_actors'), { '{"thread":"actors-1"}': 5, '{"thread":"actors-2"}': 6 });
  assert.deepEqual(find(totals, 'sluice_x_ms')?.series, [{ labels: {}, counts: [2, 0], sum: 1, count: 2 }]);
});

test('reads the same twice and leaves the published snapshots alone', () => {
  const totals = createMetricTotals();
  const snapshots = counted(3, 5);
  const copy = structuredClone(snapshots);
  totals.publish('actors-1', snapshots);
  totals.publish('actors-2', counted(4, 6));
  assert.deepEqual(totals.read(), totals.read());
  assert.deepEqual(snapshots, copy);
});

test('keeps what a thread counted after it ended, and drops its gauges', () => {
  const totals = createMetricTotals();
  totals.publish('actors-1', counted(3, 5));
  totals.retire('actors-1');
  assert.deepEqual(numbers(totals, 'sluice_events_total'), { '{"source":"a"}': 3 });
  assert.deepEqual(numbers(totals, 'sluice_actors'), {});
  totals.publish('actors-1', counted(9, 1));
  assert.deepEqual(numbers(totals, 'sluice_events_total'), { '{"source":"a"}': 12 });
});

test('takes figures that went down, or went away, for a respawned thread', () => {
  const totals = createMetricTotals();
  totals.publish('actors-1', counted(3, 5));
  totals.publish('actors-1', counted(1, 5));
  assert.deepEqual(numbers(totals, 'sluice_events_total'), { '{"source":"a"}': 4 });
  totals.publish('actors-1', createMetrics().snapshot());
  assert.deepEqual(numbers(totals, 'sluice_events_total'), { '{"source":"a"}': 4 });
});

test('does not take a gauge that fell for a respawned thread', () => {
  const totals = createMetricTotals();
  totals.publish('actors-1', counted(3, 5));
  totals.publish('actors-1', counted(3, 0));
  assert.deepEqual(numbers(totals, 'sluice_events_total'), { '{"source":"a"}': 3 });
});

test('shows process gauges without the thread that read them', () => {
  const metrics = createMetrics();
  metrics.gauge('process_resident_memory_bytes', 'RSS').set(7);
  const totals = createMetricTotals();
  totals.publish('main', metrics.snapshot());
  assert.deepEqual(numbers(totals, 'process_resident_memory_bytes'), { '{}': 7 });
});

test('refuses one name with two kinds and keeps what it had', () => {
  const totals = createMetricTotals();
  totals.publish('actors-1', counted(3, 5));
  const metrics = createMetrics();
  metrics.gauge('sluice_events_total', 'Events').set(1);
  assert.throws(() => totals.publish('actors-2', metrics.snapshot()), /expected sluice_events_total to be a counter/);
  assert.deepEqual(numbers(totals, 'sluice_events_total'), { '{"source":"a"}': 3 });
});

test('totals never go backwards and end at what was counted, whenever threads are respawned', () => {
  const step = fc.record({
    thread: fc.constantFrom('a', 'b', 'c'),
    add: fc.integer({ min: 0, max: 5 }),
    label: fc.constantFrom('x', 'y'),
    respawn: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const totals = createMetricTotals();
      const threads = new Map<string, ReturnType<typeof createMetrics>>();
      const expected: Record<string, number> = {};
      let before: Record<string, number> = {};
      for (const { thread, add, label, respawn } of steps) {
        if (respawn) {
          totals.retire(thread);
          threads.delete(thread);
        }
        const metrics = threads.get(thread) ?? createMetrics();
        threads.set(thread, metrics);
        metrics.counter('sluice_events_total', 'Events').add(add, { label });
        expected[JSON.stringify({ label })] = (expected[JSON.stringify({ label })] ?? 0) + add;
        totals.publish(thread, metrics.snapshot());
        const now = numbers(totals, 'sluice_events_total');
        for (const [key, value] of Object.entries(before)) assert((now[key] ?? -1) >= value, `${key} went backwards`);
        before = now;
      }
      assert.deepEqual(before, expected);
    }),
  );
});

function counted(events: number, actors: number): MetricSnapshot[] {
  const metrics = createMetrics();
  metrics.counter('sluice_events_total', 'Events').add(events, { source: 'a' });
  metrics.gauge('sluice_actors', 'Actors').set(actors);
  metrics.histogram('sluice_x_ms', 'X', [1]).record(0.5);
  return metrics.snapshot();
}

function find(totals: MetricTotals, name: string): MetricSnapshot | undefined {
  return totals.read().find((snapshot) => snapshot.name === name);
}

function numbers(totals: MetricTotals, name: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const series of find(totals, name)?.series ?? []) {
    if ('value' in series) values[JSON.stringify(series.labels)] = series.value;
  }
  return values;
}
