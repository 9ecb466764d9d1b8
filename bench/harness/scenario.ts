// The contract of a scenario: what it declares (name, question, options, raw limit, peers, the rows of the design it
// measures) and what it returns. Everything around it (options, terminal, JSON, report, sweeps, comparing) works on
// these declarations, so a new scenario is one file and a line in scenarios.ts.

import type { Cleanup } from '../../test/support/cleanup.ts';
import type { LatencySummary } from '../latency-histogram.ts';
import type { Figure, Goal, Ratio } from './figures.ts';
import type { OptionSpecs, OptionValues } from './options.ts';
import type { ThreadProfile } from './profile.ts';

export interface Run<Specs extends OptionSpecs = OptionSpecs> {
  options: OptionValues<Specs>;
  /** Work undone after the run, last first. */
  cleanup: Cleanup;
  /** Settings of the product that differ from its defaults, as its flags: `--storage.groupRowsMax=1000`. */
  productFlags: readonly string[];
  /** Where the threads of the program put their CPU profiles; undefined without `--profile`. */
  profileFolder: string | undefined;
  /** Progress, for the terminal. */
  say(text: string): void;
}

export interface NamedLatency {
  name: string;
  summary: LatencySummary;
  /** Buckets of LatencyHistogram, for the picture. */
  counts: readonly number[];
}

/** A line of a plot: throughput over time, or a scaling curve. */
export interface Series {
  plot: string;
  name: string;
  xUnit: string;
  yUnit: string;
  points: readonly (readonly [number, number])[];
}

/** CPU time by consumer, as milliseconds of CPU per second of run. */
export interface CpuSplit {
  name: string;
  shares: Readonly<Record<string, number>>;
}

/** What must hold whatever the speed: a fault makes the run a failure. */
export interface Check {
  name: string;
  faults: readonly string[];
}

export interface Measurement {
  /** Beyond machine and options: durability, sizes, versions of peers. */
  settings?: object;
  figures: readonly Figure[];
  ratios?: readonly Ratio[];
  latencies?: readonly NamedLatency[];
  series?: readonly Series[];
  cpu?: readonly CpuSplit[];
  goals: readonly Goal[];
  /** Rows this scenario should cover and could not. */
  notMeasured?: readonly { row: string; why: string }[];
  checks: readonly Check[];
  /** Events the program moved, warm-ups included: what a profile is divided by. */
  events?: number;
  /** An SVG of its own, for scenarios that are better seen than read. */
  pictures?: readonly { name: string; svg: string }[];
}

export interface Scenario<Specs extends OptionSpecs = OptionSpecs> {
  name: string;
  /** What it answers, in half a sentence. */
  question: string;
  /** The bare minimum it is measured against in the same run; empty when there is none. */
  rawLimit: string;
  /** Other programs measured in the same run. */
  peers: readonly string[];
  /** Rows of the design's table that it covers. */
  goalRows: readonly string[];
  options: Specs;
  /** Values of the options for `--quick`: about half a minute in all. */
  quick: Partial<OptionValues<Specs>>;
  measure(run: Run<Specs>): Promise<Measurement>;
}

export function defineScenario<const Specs extends OptionSpecs>(scenario: Scenario<Specs>): Scenario {
  return scenario;
}

/** Everything one run said, as it is stored. */
export interface BenchRecord extends Measurement {
  scenario: string;
  measuredAt: string;
  /** Set by a sweep: the value that was varied. */
  varied?: Readonly<Record<string, string>>;
  settings: Readonly<Record<string, unknown>>;
  /** With `--profile`: where the threads of the program spent their time. */
  profile?: readonly ThreadProfile[];
}
