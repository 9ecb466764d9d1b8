// Puts the records of several runs of the same thing together: their rounds one after the other, their latencies added.
// Pure. What only one run can say (series, CPU split, pictures) is that of the last one.

import { LatencyHistogram } from '../latency-histogram.ts';
import type { BenchRecord, Check, NamedLatency } from './scenario.ts';

export function mergeRecords(records: readonly BenchRecord[]): BenchRecord {
  const [first, ...others] = records;
  const last = records.at(-1);
  if (first === undefined || last === undefined) throw new Error('expected at least one record');
  if (others.length === 0) return first;
  return {
    ...last,
    measuredAt: first.measuredAt,
    settings: { ...last.settings, rounds: records.length },
    figures: first.figures.map((figure) => ({ ...figure, rounds: roundsOf(records, 'figures', figure.name) })),
    ratios: (first.ratios ?? []).map((ratio) => ({ ...ratio, rounds: roundsOf(records, 'ratios', ratio.name) })),
    latencies: mergeLatencies(records),
    // They were held against one round each.
    goals: [],
    checks: mergeChecks(records),
  };
}

function roundsOf(records: readonly BenchRecord[], list: 'figures' | 'ratios', name: string): number[] {
  return records.flatMap((record) => (record[list] ?? []).find((one) => one.name === name)?.rounds ?? []);
}

function mergeLatencies(records: readonly BenchRecord[]): NamedLatency[] {
  const merged = new Map<string, LatencyHistogram>();
  for (const { name, counts } of records.flatMap((record) => record.latencies ?? [])) {
    const histogram = merged.get(name);
    if (histogram === undefined) merged.set(name, new LatencyHistogram(counts));
    else histogram.add(counts);
  }
  return [...merged].map(([name, histogram]) => namedLatency(name, histogram));
}

export function namedLatency(name: string, histogram: LatencyHistogram): NamedLatency {
  return { name, summary: histogram.summary(), counts: histogram.counts };
}

function mergeChecks(records: readonly BenchRecord[]): Check[] {
  const faults = new Map<string, string[]>();
  for (const check of records.flatMap(({ checks }) => checks)) {
    faults.set(check.name, [...(faults.get(check.name) ?? []), ...check.faults]);
  }
  return [...faults].map(([name, all]) => ({ name, faults: all }));
}
