// What changed between two runs beyond noise. Pure. A change counts when the rounds of the two runs are so well apart that
// chance would do it once in a hundred times (Mann-Whitney, exact), and the medians differ by more than nobody cares
// about. Ratios to the raw limit are what to look at: absolute figures of two runs also tell how busy the machine was.

import { type Better, median, spreadOf } from './figures.ts';
import { UsageError } from './options.ts';
import type { BenchRecord } from './scenario.ts';
import { numberText, settingText, tableOf, variedText } from './terminal-table.ts';

export type Verdict = 'better' | 'worse' | 'changed' | 'no change' | 'too few rounds';

export interface Change {
  name: string;
  kind: 'ratio' | 'product' | 'raw limit' | 'peer' | 'fact';
  before: readonly number[];
  after: readonly number[];
  /** Of the medians: 0.1 is 10 % more. */
  change: number;
  verdict: Verdict;
}

export interface Comparison {
  title: string;
  changes: readonly Change[];
  /** Settings that differ: then something else was measured. */
  differences: readonly string[];
  warnings: readonly string[];
  faults: readonly string[];
}

const chanceMax = 0.01;
/** With fewer rounds not even a clean separation reaches that chance. */
const roundsMin = 5;
const changeMin = 0.02;
/** They describe the moment or the amount of measuring, not what was measured. */
const moments = new Set(['loadAverage', 'rounds', 'seconds', 'warmUpSeconds']);

export function compareRecords(before: readonly BenchRecord[], after: readonly BenchRecord[]): Comparison[] {
  const keyOf = ({ scenario, varied }: BenchRecord): string => `${scenario}${variedText(varied)}`;
  const pairs = before.flatMap((one) => {
    const other = after.find((record) => keyOf(record) === keyOf(one));
    return other === undefined ? [] : [compareTwo(keyOf(one), one, other)];
  });
  if (pairs.length > 0) return pairs;
  const [ours, theirs] = [before, after].map((records) => records.map(keyOf).join(', '));
  throw new UsageError(`expected results of the same scenario, got ${ours} and ${theirs}`);
}

function compareTwo(title: string, before: BenchRecord, after: BenchRecord): Comparison {
  const listed = (record: BenchRecord) => [
    ...(record.ratios ?? []).map((ratio) => ({ ...ratio, kind: 'ratio' as const })),
    ...record.figures.map((figure) => ({ ...figure, kind: figure.of })),
  ];
  const others = new Map(listed(after).map((one) => [`${one.kind} ${one.name}`, one]));
  const changes = listed(before).flatMap((one): Change[] => {
    const other = others.get(`${one.kind} ${one.name}`);
    if (other === undefined) return [];
    const { name, kind, rounds } = one;
    const change = median(other.rounds) / (median(rounds) || Number.POSITIVE_INFINITY) - 1;
    const verdict = verdictOf(rounds, other.rounds, one.better);
    return [{ name, kind, before: rounds, after: other.rounds, change, verdict }];
  });
  const moved = changes.filter((one) => one.kind === 'raw limit' && one.verdict !== 'no change');
  return {
    title,
    changes,
    differences: differencesOf(before, after),
    warnings: moved
      .filter(({ verdict }) => verdict !== 'too few rounds')
      .map(({ name, change }) => `the machine changed: ${name} moved by ${percentText(change)}; look at the ratios`),
    faults: after.checks.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`)),
  };
}

export function verdictOf(before: readonly number[], after: readonly number[], better: Better): Verdict {
  // Sizes and counts that come out the same every time need no statistics.
  const isExact = [...before, ...after].every((value) => value === before[0]);
  if (isExact && before.length > 0) return 'no change';
  if (Math.min(before.length, after.length) < roundsMin) return 'too few rounds';
  const [ours, theirs] = [median(before), median(after)];
  const isSmall = Math.abs(theirs - ours) <= changeMin * Math.abs(ours);
  if (isSmall || chanceOf(before, after) > chanceMax) return 'no change';
  if (better === 'neither') return 'changed';
  return theirs > ours === (better === 'higher') ? 'better' : 'worse';
}

/** Two-sided chance that two samples of one thing are as far apart as these. Ties count as undecided. */
export function chanceOf(one: readonly number[], other: readonly number[]): number {
  let wins = 0;
  for (const x of one) for (const y of other) wins += x > y ? 1 : x === y ? 0.5 : 0;
  const pairs = one.length * other.length;
  const extreme = Math.ceil(Math.min(wins, pairs - wins));
  const ways = rankings(one.length, other.length);
  const total = ways.reduce((sum, count) => sum + count, 0);
  const tail = ways.slice(0, extreme + 1).reduce((sum, count) => sum + count, 0);
  return Math.min(1, (2 * tail) / total);
}

/** How many orders of m and n values have u pairs in which the first sample wins, for every u. */
function rankings(m: number, n: number): number[] {
  // Gaussian binomial coefficients: adding the factors (1 - q^(n+i)) / (1 - q^i) one by one.
  let ways = [1];
  for (let index = 1; index <= m; index += 1) {
    const grown = Array.from({ length: ways.length + n }, (_, u) => ways[u] ?? 0);
    for (let u = grown.length - 1; u >= n + index; u -= 1) grown[u] = (grown[u] ?? 0) - (grown[u - n - index] ?? 0);
    for (let u = index; u < grown.length; u += 1) grown[u] = (grown[u] ?? 0) + (grown[u - index] ?? 0);
    ways = grown;
  }
  return ways;
}

function differencesOf(before: BenchRecord, after: BenchRecord): string[] {
  const settings = new Set([...Object.keys(before.settings), ...Object.keys(after.settings)]);
  return [...settings].flatMap((name) => {
    const [ours, theirs] = [settingText(before.settings[name]), settingText(after.settings[name])];
    return ours === theirs || moments.has(name) ? [] : [`${name}: ${ours} before, ${theirs} after`];
  });
}

export function comparisonText({ title, changes, differences, warnings, faults }: Comparison): string {
  const rows = changes.map(({ name, kind, before, after, change, verdict }) => [
    name,
    kind,
    spreadText(before),
    spreadText(after),
    percentText(change),
    verdict,
  ]);
  const counted = changes.filter(({ verdict }) => verdict === 'too few rounds').length;
  return [
    title,
    ...differences.map((one) => `  other settings: ${one}`),
    ...warnings.map((one) => `  ${one}`),
    ...(counted === 0
      ? []
      : [`  ${counted} figures have fewer than ${roundsMin} rounds: no change of them can be told`]),
    ...faults.map((one) => `  FAILED ${one}`),
    '',
    tableOf(['what', 'of', 'before', 'after', 'change', 'beyond noise'], rows),
    '',
  ].join('\n');
}

function spreadText(rounds: readonly number[]): string {
  const { median: middle, least, most } = spreadOf(rounds);
  return `${numberText(middle)} (${numberText(least)} .. ${numberText(most)})`;
}

function percentText(change: number): string {
  return `${change > 0 ? '+' : ''}${(change * 100).toFixed(1)} %`;
}
