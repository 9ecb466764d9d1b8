// Proves the per-thread registry: what is counted, how label sets are told apart and bounded, and that a snapshot
// is a copy that can be posted to another thread.

import assert from 'node:assert';
import test from 'node:test';
import fc from 'fast-check';
import {
  createMetrics,
  type MetricSnapshot,
  SERIES_PER_INSTRUMENT_MAX,
  type ThreadMetrics,
} from '../../runtime/metrics.ts';

test('adds up a counter with and without labels', () => {
  const metrics = createMetrics();
  const counter = metrics.counter('sluice_events_total', 'Events');
  counter.add(2);
  counter.add(3);
  counter.add(5, { source: 'a' });
  counter.add(7, { source: 'a' });
  counter.add(11, { source: 'b' });
  assert.deepEqual(valuesOf(metrics, 'sluice_events_total'), { '{}': 5, '{"source":"a"}': 12, '{"source":"b"}': 11 });
});

test('shows no series that was never counted', () => {
  const metrics = createMetrics();
  const counter = metrics.counter('sluice_events_total', 'Events');
  assert.deepEqual(valuesOf(metrics, 'sluice_events_total'), {});
  counter.add(0);
  assert.deepEqual(valuesOf(metrics, 'sluice_events_total'), { '{}': 0 });
});

test('takes the same labels in another order for the same series', () => {
  const metrics = createMetrics();
  const counter = metrics.counter('sluice_events_total', 'Events');
  counter.add(1, { source: 'a', stage: 'x' });
  counter.add(1, { stage: 'x', source: 'a' });
  counter.add(1, { stage: 'a', source: 'x' });
  assert.deepEqual(valuesOf(metrics, 'sluice_events_total'), {
    '{"source":"a","stage":"x"}': 2,
    '{"stage":"a","source":"x"}': 1,
  });
});

test('keeps the last value of a gauge', () => {
  const metrics = createMetrics();
  const gauge = metrics.gauge('sluice_actors', 'Actors');
  gauge.set(4);
  gauge.set(-1.5);
  gauge.set(9, { kind: 'router' });
  assert.deepEqual(valuesOf(metrics, 'sluice_actors'), { '{}': -1.5, '{"kind":"router"}': 9 });
});

test('puts a value on a bound into the bucket of that bound', () => {
  const metrics = createMetrics();
  const histogram = metrics.histogram('sluice_commit_ms', 'Commit', [1, 10]);
  for (const value of [0, 1, 1.01, 10, 11, 1e9]) histogram.record(value);
  const snapshot = find(metrics, 'sluice_commit_ms');
  assert.equal(snapshot.kind, 'histogram');
  assert.deepEqual(snapshot.series, [{ labels: {}, counts: [2, 2, 2], sum: 0 + 1 + 1.01 + 10 + 11 + 1e9, count: 6 }]);
});

test('counts every recorded value in exactly one bucket', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 1_000 }), { minLength: 1, maxLength: 20 }),
      fc.array(fc.double({ min: 0, max: 2_000, noNaN: true })),
      (bounds, values) => {
        const ascending = bounds.sort((left, right) => left - right);
        const metrics = createMetrics();
        const histogram = metrics.histogram('sluice_x_ms', 'X', ascending);
        for (const value of values) histogram.record(value, { a: 'b' });
        const [series] = find(metrics, 'sluice_x_ms').series;
        if (series === undefined || !('counts' in series)) return values.length === 0;
        let cumulative = 0;
        ascending.forEach((bound, index) => {
          cumulative += series.counts[index] ?? 0;
          assert.equal(cumulative, values.filter((value) => value <= bound).length);
        });
        return series.count === values.length && cumulative + (series.counts.at(-1) ?? 0) === values.length;
      },
    ),
  );
});

test('returns the same instrument for the same name', () => {
  const metrics = createMetrics();
  assert.equal(metrics.counter('sluice_a_total', 'A'), metrics.counter('sluice_a_total', 'A'));
  assert.equal(metrics.histogram('sluice_a_ms', 'A', [1, 2]), metrics.histogram('sluice_a_ms', 'A', [1, 2]));
});

test('refuses one name for two kinds, other bounds, and names Prometheus would change', () => {
  const metrics = createMetrics();
  metrics.gauge('sluice_a_total', 'A');
  assert.throws(() => metrics.counter('sluice_a_total', 'A'), /one kind/);
  metrics.histogram('sluice_a_ms', 'A', [1, 2]);
  assert.throws(() => metrics.histogram('sluice_a_ms', 'A', [1, 3]), /one set of bounds/);
  assert.throws(() => metrics.histogram('sluice_b_ms', 'B', [2, 1]), /ascending/);
  assert.throws(() => metrics.counter('sluice_events', 'E'), /_total/);
  for (const name of ['sluice__a', 'Sluice_a', 'sluice-a', 'sluice_a_', '1a', '']) {
    assert.throws(() => metrics.gauge(name, 'A'), /metric name/, name);
  }
});

test('counts label sets beyond the limit under other, and says how many calls that were', () => {
  const metrics = createMetrics();
  const counter = metrics.counter('sluice_events_total', 'Events');
  const total = SERIES_PER_INSTRUMENT_MAX + 50;
  for (let round = 0; round < 2; round += 1) {
    for (let id = 0; id < total; id += 1) counter.add(1, { source: `s${id}`, stage: 'gw' });
  }
  const values = valuesOf(metrics, 'sluice_events_total');
  assert.equal(Object.keys(values).length, SERIES_PER_INSTRUMENT_MAX + 1);
  assert.equal(values['{"source":"other","stage":"other"}'], 100);
  assert.equal(values['{"source":"s0","stage":"gw"}'], 2);
  assert.deepEqual(valuesOf(metrics, 'sluice_metrics_overflowed_total'), {
    '{"instrument":"sluice_events_total"}': 100,
  });
});

test('drops and counts values that would break a total', () => {
  const metrics = createMetrics();
  const counter = metrics.counter('sluice_events_total', 'Events');
  for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY, 3]) counter.add(value);
  const histogram = metrics.histogram('sluice_x_ms', 'X');
  for (const value of [Number.NaN, -1]) histogram.record(value);
  metrics.gauge('sluice_y', 'Y').set(Number.NaN);
  assert.deepEqual(valuesOf(metrics, 'sluice_events_total'), { '{}': 3 });
  assert.deepEqual(find(metrics, 'sluice_x_ms').series, []);
  assert.deepEqual(valuesOf(metrics, 'sluice_metrics_invalid_total'), {
    '{"instrument":"sluice_events_total"}': 3,
    '{"instrument":"sluice_x_ms"}': 2,
    '{"instrument":"sluice_y"}': 1,
  });
});

test('hands out snapshots that can be cloned and that later calls do not change', () => {
  const metrics = createMetrics();
  const counter = metrics.counter('sluice_events_total', 'Events');
  const histogram = metrics.histogram('sluice_x_ms', 'X', [1]);
  counter.add(1, { source: 'a' });
  histogram.record(0.5);
  const before = metrics.snapshot();
  const clone = structuredClone(before);
  counter.add(1, { source: 'a' });
  histogram.record(0.5);
  assert.deepEqual(before, clone);
});

test('is not changed by a caller that reuses its label object', () => {
  const metrics = createMetrics();
  const counter = metrics.counter('sluice_events_total', 'Events');
  const labels = { source: 'a' };
  counter.add(1, labels);
  labels.source = 'b';
  counter.add(1, labels);
  assert.deepEqual(valuesOf(metrics, 'sluice_events_total'), { '{"source":"a"}': 1, '{"source":"b"}': 1 });
});

function find(metrics: ThreadMetrics, name: string): MetricSnapshot {
  const found = metrics.snapshot().find((snapshot) => snapshot.name === name);
  assert(found !== undefined, `expected a snapshot of ${name}`);
  return found;
}

function valuesOf(metrics: ThreadMetrics, name: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const series of find(metrics, name).series) {
    if ('value' in series) values[JSON.stringify(series.labels)] = series.value;
  }
  return values;
}
