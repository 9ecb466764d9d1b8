// What a benchmark may say: figures with the value of every round, ratios of figures measured in the same rounds, and
// goals held against them. A single number without its rounds cannot be told from noise, so there is none.

export type Better = 'higher' | 'lower' | 'neither';

export interface Figure {
  name: string;
  unit: string;
  better: Better;
  /** ours, the bare minimum of this machine, somebody else's, or a fact about the run. */
  of: 'product' | 'raw limit' | 'peer' | 'fact';
  /** One value per round, in the order of the rounds. */
  rounds: readonly number[];
}

export interface Ratio {
  name: string;
  better: Better;
  /** Names of the two figures; each round's ratio is that of the two values measured next to each other. */
  figure: string;
  against: string;
  rounds: readonly number[];
}

/** A figure the product promises (`row` is that of the design where it has one), and whether this run reached it. */
export interface Goal {
  row: string;
  what: string;
  goal: string;
  measured: number;
  /** Least and most of the rounds. */
  spread?: readonly [number, number];
  met: boolean;
}

export interface Spread {
  median: number;
  least: number;
  most: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) return { median: 0, least: 0, most: 0 };
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

export function figure(
  name: string,
  unit: string,
  better: Better,
  rounds: readonly number[],
  of: Figure['of'] = 'product',
): Figure {
  return { name, unit, better, of, rounds: rounds.map(readable) };
}

/** Higher is better for a rate, lower for a time or a size: the ratio inherits it. */
export function ratioOf(product: Figure, against: Figure): Ratio {
  const count = Math.min(product.rounds.length, against.rounds.length);
  const rounds = Array.from({ length: count }, (_, index) =>
    readable((product.rounds[index] ?? 0) / (against.rounds[index] || Number.POSITIVE_INFINITY)),
  );
  return {
    name: `${product.name} / ${against.name}`,
    better: product.better,
    figure: product.name,
    against: against.name,
    rounds,
  };
}

/** Held against the median unless `measured` says otherwise. */
export function atLeast(row: string, what: string, least: number, rounds: readonly number[], unit = ''): Goal {
  const spread = spreadOf(rounds);
  return goalOf(row, what, `>= ${withUnit(least, unit)}`, spread, spread.median >= least);
}

export function atMost(row: string, what: string, most: number, rounds: readonly number[], unit = ''): Goal {
  const spread = spreadOf(rounds);
  return goalOf(row, what, `<= ${withUnit(most, unit)}`, spread, rounds.length > 0 && spread.median <= most);
}

function goalOf(row: string, what: string, goal: string, spread: Spread, met: boolean): Goal {
  const { least, most } = spread;
  return { row, what, goal, measured: readable(spread.median), spread: [readable(least), readable(most)], met };
}

/** Four digits tell everything that a measurement knows; whole numbers stay whole. */
export function readable(value: number): number {
  if (!Number.isFinite(value)) return 0;
  return Math.abs(value) >= 10_000 ? Math.round(value) : Number(value.toPrecision(4));
}

function withUnit(value: number, unit: string): string {
  return unit === '' ? String(value) : `${value} ${unit}`;
}
