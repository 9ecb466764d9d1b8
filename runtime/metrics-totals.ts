// Adds up the metric snapshots of all threads, on main. It exists because a thread that is respawned starts again at
// zero while what Prometheus reads must never go backwards: the last figures of a thread that ended are kept in a base.

import assert from 'node:assert';
import {
  canonicalKey,
  type HistogramSeries,
  type Labels,
  type MetricSnapshot,
  type NumberSeries,
  overflowLabels,
  SERIES_PER_INSTRUMENT_MAX,
  sameBounds,
} from './metrics.ts';

export interface MetricTotals {
  /**
   * Replaces what is known of this thread. Another `life` than before means that it was respawned, and so do figures
   * lower than the last ones.
   */
  publish(thread: string, snapshots: readonly MetricSnapshot[], life?: number): void;
  /** The thread ended: what it counted stays, its gauges go. What it counted after its last publication is lost. */
  retire(thread: string): void;
  /** Counters and histograms added up; gauges one by one, told apart by the label `thread`. */
  read(): MetricSnapshot[];
}

export function createMetricTotals(): MetricTotals {
  const live = new Map<string, Published>();
  const base = new Sums(SERIES_PER_INSTRUMENT_MAX);
  const shapes = new Map<string, MetricSnapshot>();

  function retire(thread: string): void {
    for (const snapshot of live.get(thread)?.snapshots ?? []) if (snapshot.kind !== 'gauge') base.add(snapshot);
    live.delete(thread);
  }

  return {
    publish: (thread, snapshots, life = 0) => {
      for (const snapshot of snapshots) checkShape(shapes, snapshot);
      const last = live.get(thread);
      if (last !== undefined && (last.life !== life || wasRespawned(last.snapshots, snapshots))) retire(thread);
      live.set(thread, { snapshots, life });
    },
    retire,
    read: () => {
      const sums = new Sums(Number.POSITIVE_INFINITY);
      for (const snapshot of base.snapshots()) sums.add(snapshot);
      for (const [thread, { snapshots }] of live) {
        for (const snapshot of snapshots) sums.add(snapshot.kind === 'gauge' ? withThread(snapshot, thread) : snapshot);
      }
      return sums.snapshots();
    },
  };
}

interface Published {
  snapshots: readonly MetricSnapshot[];
  life: number;
}

interface Sum {
  snapshot: MetricSnapshot;
  byKey: Map<string, NumberSeries | HistogramSeries>;
}

/** Instruments being added up. Copies what it keeps, so that no thread's snapshot is ever changed. */
class Sums {
  readonly #byName = new Map<string, Sum>();
  readonly #seriesMax: number;

  constructor(seriesMax: number) {
    this.#seriesMax = seriesMax;
  }

  add(snapshot: MetricSnapshot): void {
    let sum = this.#byName.get(snapshot.name);
    if (sum === undefined) {
      sum = { snapshot: { ...snapshot, series: [] }, byKey: new Map() };
      this.#byName.set(snapshot.name, sum);
    }
    for (const series of snapshot.series) this.#addSeries(sum, series);
  }

  snapshots(): MetricSnapshot[] {
    return [...this.#byName.values()].map((sum) => sum.snapshot);
  }

  #addSeries(sum: Sum, series: NumberSeries | HistogramSeries): void {
    let labels = series.labels;
    let key = canonicalKey(labels);
    if (!sum.byKey.has(key) && sum.byKey.size >= this.#seriesMax) {
      labels = overflowLabels(labels);
      key = canonicalKey(labels);
    }
    const known = sum.byKey.get(key);
    if (known === undefined) appendCopy(sum, key, series, labels);
    else addFigures(known, series);
  }
}

function appendCopy(sum: Sum, key: string, series: NumberSeries | HistogramSeries, labels: Labels): void {
  if (sum.snapshot.kind === 'histogram' && 'counts' in series) {
    const copy = { ...series, labels, counts: series.counts.slice() };
    sum.snapshot.series.push(copy);
    sum.byKey.set(key, copy);
  } else if (sum.snapshot.kind !== 'histogram' && 'value' in series) {
    const copy = { ...series, labels };
    sum.snapshot.series.push(copy);
    sum.byKey.set(key, copy);
  }
}

function addFigures(into: NumberSeries | HistogramSeries, from: NumberSeries | HistogramSeries): void {
  if ('counts' in into && 'counts' in from) {
    into.sum += from.sum;
    into.count += from.count;
    from.counts.forEach((count, bucket) => {
      into.counts[bucket] = (into.counts[bucket] ?? 0) + count;
    });
  } else if ('value' in into && 'value' in from) {
    into.value += from.value;
  }
}

/** All threads run one program, so two shapes under one name are a programmer's error. */
function checkShape(shapes: Map<string, MetricSnapshot>, snapshot: MetricSnapshot): void {
  const known = shapes.get(snapshot.name);
  if (known === undefined) {
    shapes.set(snapshot.name, { ...snapshot, series: [] });
    return;
  }
  assert(known.kind === snapshot.kind, `expected ${snapshot.name} to be a ${known.kind}, got a ${snapshot.kind}`);
  if (known.kind === 'histogram' && snapshot.kind === 'histogram') {
    assert(sameBounds(known.bounds, snapshot.bounds), `expected one set of bounds for histogram ${snapshot.name}`);
  }
}

function wasRespawned(before: readonly MetricSnapshot[], after: readonly MetricSnapshot[]): boolean {
  const reached = new Map<string, number>();
  for (const snapshot of after) {
    for (const series of snapshot.series) reached.set(snapshot.name + canonicalKey(series.labels), figure(series));
  }
  return before.some(
    (snapshot) =>
      snapshot.kind !== 'gauge' &&
      snapshot.series.some((one) => (reached.get(snapshot.name + canonicalKey(one.labels)) ?? -1) < figure(one)),
  );
}

function figure(series: NumberSeries | HistogramSeries): number {
  return 'counts' in series ? series.count : series.value;
}

/** `process_…` gauges speak for the process, whichever thread read them. */
function withThread(snapshot: MetricSnapshot, thread: string): MetricSnapshot {
  if (snapshot.kind !== 'gauge' || snapshot.name.startsWith('process_')) return snapshot;
  const series = snapshot.series.map((one) => ({ ...one, labels: { thread, ...one.labels } }));
  return { ...snapshot, series };
}
