// The metrics of one thread: plain numbers behind the Metrics contract. Nothing here knows OpenTelemetry, locks or
// allocates on a repeated call, so that counting costs the event path a few nanoseconds; main collects snapshots
// of all threads when somebody scrapes (metrics-totals.ts, metrics-export.ts).

import assert from 'node:assert';
import type { Counter, Gauge, Histogram, Metrics } from './telemetry.ts';

export type Labels = Readonly<Record<string, string>>;

/** Label sets one instrument keeps per thread. Later ones are added up under the label value `other`. */
export const SERIES_PER_INSTRUMENT_MAX = 1_000;
const OVERFLOW_LABEL_VALUE = 'other';
/** Upper bucket bounds in milliseconds. */
const DEFAULT_BOUNDS: readonly number[] = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

export interface NumberSeries {
  labels: Labels;
  value: number;
}

export interface HistogramSeries {
  labels: Labels;
  /** One per bound and a last one for everything above; not cumulative. */
  counts: number[];
  sum: number;
  count: number;
}

interface NumberSnapshot {
  kind: 'counter' | 'gauge';
  name: string;
  help: string;
  series: NumberSeries[];
}

interface HistogramSnapshot {
  kind: 'histogram';
  name: string;
  help: string;
  bounds: readonly number[];
  series: HistogramSeries[];
}

/** Structured-cloneable copy of one instrument. Counters and histograms count from the start of their thread. */
export type MetricSnapshot = NumberSnapshot | HistogramSnapshot;

export interface ThreadMetrics extends Metrics {
  snapshot(): MetricSnapshot[];
}

/** One registry per thread, made where the thread starts. */
export function createMetrics(): ThreadMetrics {
  const instruments = new Map<string, Instrument>();
  return {
    counter: (name, help) => {
      assert(name.endsWith('_total'), `expected the counter's name to end in _total, got ${name}`);
      return obtain(instruments, name, CounterCell, () => new CounterCell(name, help));
    },
    gauge: (name, help) => obtain(instruments, name, GaugeCell, () => new GaugeCell(name, help)),
    histogram: (name, help, bounds = DEFAULT_BOUNDS) => {
      const cell = obtain(instruments, name, HistogramCell, () => new HistogramCell(name, help, bounds));
      assert(sameBounds(cell.bounds, bounds), `expected one set of bounds for histogram ${name}`);
      return cell;
    },
    snapshot: () => {
      const all = [...instruments.values()];
      return [...all.map((instrument) => instrument.snapshot()), ...selfSnapshots(all)];
    },
  };
}

/** The same text for the same label set, whatever order its names were written in. */
export function canonicalKey(labels: Labels): string {
  let key = '';
  for (const name of Object.keys(labels).sort()) key += `${name}\u0000${labels[name]}\u0001`;
  return key;
}

export function sameBounds(left: readonly number[], right: readonly number[]): boolean {
  return left === right || (left.length === right.length && left.every((bound, index) => bound === right[index]));
}

/** The label set that stands for all that did not fit. */
export function overflowLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.keys(labels).map((name) => [name, OVERFLOW_LABEL_VALUE]));
}

const NO_LABELS: Labels = Object.freeze({});
/** Keys kept per instrument: a label set may be written in several orders, each of which is a key of its own. */
const KEYS_PER_INSTRUMENT_MAX = 4 * SERIES_PER_INSTRUMENT_MAX;
/** No double underscore: the Prometheus exporter would fold it and print another name than the code says. */
const NAME_PATTERN = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;

/** The numbers of one instrument by label set; `create` makes those of a new one. */
class SeriesTable<Series extends { labels: Labels }> {
  /** Calls whose label set did not fit any more. */
  overflowed = 0;
  readonly #create: (labels: Labels) => Series;
  readonly #bare: Series;
  readonly #labelled: Series[] = [];
  readonly #byKey = new Map<string, Series>();
  #bareUsed = false;

  constructor(create: (labels: Labels) => Series) {
    this.#create = create;
    this.#bare = create(NO_LABELS);
  }

  /** Hot: no look-up without labels, one once a label set is known. */
  find(labels: Labels | undefined): Series {
    if (labels === undefined) {
      this.#bareUsed = true;
      return this.#bare;
    }
    let key = '';
    for (const name in labels) key += `${name}\u0000${labels[name]}\u0001`;
    return this.#byKey.get(key) ?? this.#admit(key, labels);
  }

  used(): Series[] {
    return this.#bareUsed ? [this.#bare, ...this.#labelled] : this.#labelled;
  }

  #admit(key: string, labels: Labels): Series {
    if (key === '') return this.find(undefined);
    const canonical = canonicalKey(labels);
    const known = this.#byKey.get(canonical);
    if (known === undefined && this.#labelled.length >= SERIES_PER_INSTRUMENT_MAX) return this.#overflow(labels);
    const series = known ?? this.#add(canonical, labels);
    if (this.#byKey.size < KEYS_PER_INSTRUMENT_MAX) this.#byKey.set(key, series);
    return series;
  }

  #overflow(labels: Labels): Series {
    this.overflowed += 1;
    const rest = overflowLabels(labels);
    const key = canonicalKey(rest);
    return this.#byKey.get(key) ?? this.#add(key, rest);
  }

  #add(canonical: string, labels: Labels): Series {
    const series = this.#create(Object.freeze({ ...labels }));
    this.#labelled.push(series);
    this.#byKey.set(canonical, series);
    return series;
  }
}

/** What an instrument of any kind is to the registry. */
interface Instrument {
  readonly name: string;
  readonly table: { readonly overflowed: number };
  /** Calls with a value the instrument cannot take: they are dropped, because a metric must never break an event. */
  readonly invalid: number;
  snapshot(): MetricSnapshot;
}

class CounterCell implements Counter, Instrument {
  readonly name: string;
  readonly table = new SeriesTable<NumberSeries>((labels) => ({ labels, value: 0 }));
  invalid = 0;
  readonly #help: string;

  constructor(name: string, help: string) {
    this.name = name;
    this.#help = help;
  }

  add(value: number, labels?: Labels): void {
    if (value >= 0 && value < Number.POSITIVE_INFINITY) this.table.find(labels).value += value;
    else this.invalid += 1;
  }

  snapshot(): MetricSnapshot {
    const series = this.table.used().map((one) => ({ ...one }));
    return { kind: 'counter', name: this.name, help: this.#help, series };
  }
}

class GaugeCell implements Gauge, Instrument {
  readonly name: string;
  readonly table = new SeriesTable<NumberSeries>((labels) => ({ labels, value: 0 }));
  invalid = 0;
  readonly #help: string;

  constructor(name: string, help: string) {
    this.name = name;
    this.#help = help;
  }

  set(value: number, labels?: Labels): void {
    if (Number.isFinite(value)) this.table.find(labels).value = value;
    else this.invalid += 1;
  }

  snapshot(): MetricSnapshot {
    const series = this.table.used().map((one) => ({ ...one }));
    return { kind: 'gauge', name: this.name, help: this.#help, series };
  }
}

class HistogramCell implements Histogram, Instrument {
  readonly name: string;
  readonly bounds: readonly number[];
  readonly table: SeriesTable<HistogramSeries>;
  invalid = 0;
  readonly #help: string;

  constructor(name: string, help: string, bounds: readonly number[]) {
    assert(bounds.length > 0 && isAscending(bounds), `expected ascending finite bounds for ${name}, got ${bounds}`);
    this.name = name;
    this.#help = help;
    this.bounds = Object.freeze([...bounds]);
    this.table = new SeriesTable((labels) => ({ labels, counts: emptyCounts(bounds.length), sum: 0, count: 0 }));
  }

  record(value: number, labels?: Labels): void {
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) {
      this.invalid += 1;
      return;
    }
    const series = this.table.find(labels);
    const bucket = bucketOf(this.bounds, value);
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
    series.count += 1;
  }

  snapshot(): MetricSnapshot {
    const series = this.table.used().map((one) => ({ ...one, counts: one.counts.slice() }));
    return { kind: 'histogram', name: this.name, help: this.#help, bounds: this.bounds, series };
  }
}

function obtain<Kind extends Instrument>(
  instruments: Map<string, Instrument>,
  name: string,
  kind: new (...parameters: never[]) => Kind,
  create: () => Kind,
): Kind {
  const known = instruments.get(name);
  if (known === undefined) {
    assert(NAME_PATTERN.test(name), `expected a metric name of lower-case words joined by _, got ${name}`);
    const made = create();
    instruments.set(name, made);
    return made;
  }
  assert(known instanceof kind, `expected metric ${name} to be of one kind, got ${known.constructor.name} before`);
  return known;
}

/** What the registry says about itself, so that a lost label set or a dropped value does not stay silent. */
function selfSnapshots(instruments: readonly Instrument[]): MetricSnapshot[] {
  const counters: [string, string, (instrument: Instrument) => number][] = [
    [
      'sluice_metrics_overflowed_total',
      'Calls counted under the label value other because an instrument had too many label sets',
      (instrument) => instrument.table.overflowed,
    ],
    [
      'sluice_metrics_invalid_total',
      'Metric values dropped because they were negative or not finite',
      (instrument) => instrument.invalid,
    ],
  ];
  return counters.map(([name, help, count]) => ({
    kind: 'counter',
    name,
    help,
    series: instruments
      .filter((instrument) => count(instrument) > 0)
      .map((instrument) => ({ labels: { instrument: instrument.name }, value: count(instrument) })),
  }));
}

/** A bound belongs to its bucket (Prometheus `le`). Linear: most values fall into the first few buckets. */
function bucketOf(bounds: readonly number[], value: number): number {
  let bucket = 0;
  while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket += 1;
  return bucket;
}

function emptyCounts(bounds: number): number[] {
  return new Array<number>(bounds + 1).fill(0);
}

function isAscending(bounds: readonly number[]): boolean {
  return bounds.every((bound, index) => Number.isFinite(bound) && (index === 0 || bound > (bounds[index - 1] ?? 0)));
}
