// Searches settings for a goal: one setting after the other, each value measured in turns with the others, and a change
// kept only when it is beyond noise; otherwise the default stays, because a default that is as good needs no reason.

import { stringify } from 'yaml';
import type { Sweep } from './command-line.ts';
import { verdictOf } from './compare.ts';
import { median } from './figures.ts';
import { UsageError } from './options.ts';
import type { Varied } from './run-scenario.ts';
import type { BenchRecord } from './scenario.ts';
import { numberText, variedText } from './terminal-table.ts';

export interface TuneGoal {
  /** Highest throughput; with a bound only among the values that keep it. */
  p99MsMax: number | undefined;
}

export interface TuneStep {
  key: string;
  winner: string;
  reason: string;
  /** What each value reached. */
  evidence: readonly { value: string; throughput: readonly number[]; p99Ms: number; kept: boolean }[];
}

export type MeasureVariants = (variants: readonly Varied[]) => Promise<BenchRecord[]>;

/** `throughput`, or `p99<20`: the highest throughput with a p99 below 20 ms. */
export function parseGoal(text: string): TuneGoal {
  if (text === 'throughput') return { p99MsMax: undefined };
  const bound = /^p99<(\d+(?:\.\d+)?)$/.exec(text)?.[1];
  if (bound === undefined) throw new UsageError(`expected --goal throughput or --goal p99<MS, got ${text}`);
  return { p99MsMax: Number(bound) };
}

/** The first value of each sweep is what it is held against. */
export async function tune(goal: TuneGoal, sweeps: readonly Sweep[], measure: MeasureVariants): Promise<TuneStep[]> {
  if (sweeps.length === 0) throw new UsageError('expected --sweep section.setting=a,b,c for each setting to search');
  const stray = sweeps.find(({ key }) => !key.includes('.'));
  if (stray !== undefined) throw new UsageError(`expected settings of the product to search, got ${stray.key}`);
  const steps: TuneStep[] = [];
  let chosen: Varied = {};
  for (const { key, values } of sweeps) {
    const records = await measure(values.map((value) => ({ ...chosen, [key]: value })));
    const step = chooseValue(goal, key, values, records);
    steps.push(step);
    chosen = { ...chosen, [key]: step.winner };
  }
  return steps;
}

/** Pure: which value wins, and why. */
export function chooseValue(
  { p99MsMax }: TuneGoal,
  key: string,
  values: readonly string[],
  records: readonly BenchRecord[],
): TuneStep {
  const evidence = values.map((value, index) => {
    const { throughput, p99Ms } = scoresOf(records[index]);
    return { value, throughput, p99Ms, kept: p99MsMax === undefined || p99Ms <= p99MsMax };
  });
  const [first] = evidence;
  if (first === undefined) throw new UsageError(`expected values for ${key}`);
  const keeping = evidence.filter(({ kept }) => kept);
  if (keeping.length === 0) {
    const least = evidence.reduce((best, one) => (one.p99Ms < best.p99Ms ? one : best));
    return { key, winner: least.value, reason: `no value keeps the bound; this one comes nearest`, evidence };
  }
  const base = first.kept ? first : keeping[0];
  const best = keeping.reduce((one, other) => (median(other.throughput) > median(one.throughput) ? other : one));
  if (base === undefined || best === base)
    return { key, winner: best.value, reason: 'the highest throughput', evidence };
  const verdict = verdictOf(base.throughput, best.throughput, 'higher');
  if (verdict === 'better') {
    const gain = ((median(best.throughput) / median(base.throughput) - 1) * 100).toFixed(0);
    return { key, winner: best.value, reason: `${gain} % more than ${base.value}, beyond noise`, evidence };
  }
  return { key, winner: base.value, reason: `nothing better beyond noise (${verdict})`, evidence };
}

/** The product's rates, put together by their geometric mean so that no shape counts for more than another. */
function scoresOf(record: BenchRecord | undefined): { throughput: number[]; p99Ms: number } {
  const rates = (record?.figures ?? []).filter(({ of, better, unit }) => {
    return of === 'product' && better === 'higher' && unit.endsWith('/s');
  });
  if (rates.length === 0) throw new UsageError('expected a scenario that measures a throughput');
  const rounds = Math.min(...rates.map((rate) => rate.rounds.length));
  const throughput = Array.from({ length: rounds }, (_, round) => {
    const logarithms = rates.map((rate) => Math.log(Math.max(rate.rounds[round] ?? 0, 1e-9)));
    return Math.exp(logarithms.reduce((sum, one) => sum + one, 0) / rates.length);
  });
  const p99s = (record?.latencies ?? [])
    .filter(({ name }) => !name.includes('raw'))
    .map(({ summary }) => summary.p99Ms);
  return { throughput, p99Ms: Math.max(0, ...p99s) };
}

/** A file of settings that starts with its evidence. */
export function tunedFile(title: string, steps: readonly TuneStep[]): string {
  const lines = steps.flatMap(({ key, winner, reason, evidence }) => [
    `# ${key} = ${winner}: ${reason}`,
    ...evidence.map(({ value, throughput, p99Ms, kept }) => {
      const spread = `${numberText(Math.min(...throughput))} .. ${numberText(Math.max(...throughput))}`;
      const bound = kept ? '' : ', over the bound';
      return `#   ${value}: ${numberText(median(throughput))}/s (${spread}), p99 ${numberText(p99Ms)} ms${bound}`;
    }),
  ]);
  const settings: Record<string, Record<string, unknown>> = {};
  for (const { key, winner } of steps) {
    const [section = '', name = ''] = key.split('.');
    const number = Number(winner);
    settings[section] = { ...settings[section], [name]: Number.isFinite(number) ? number : winner };
  }
  return [`# ${title}`, ...lines, stringify(settings)].join('\n');
}

export function stepText({ key, winner, reason }: TuneStep): string {
  return `${variedText({ [key]: winner }).trim()}: ${reason}`;
}
