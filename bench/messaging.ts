// What a message costs: inside a thread, across threads, asked and answered, and what an idle actor weighs. Everything
// it is compared with runs in the same process and the same rounds, in turns, because the machine is never the same twice.

import type { Cleanup } from '../test/support/cleanup.ts';
import { type BenchGoal, type BenchOptions, type BenchResult, machineSettings, median } from './bench-settings.ts';
import { createBenchSystem, pumpDefinition, senderThread, sinkDefinition, window } from './messaging-actors.ts';
import { type Density, idleActors, measureDensity } from './messaging-density.ts';
import {
  bareLoopRate,
  libraryMessages,
  localMessages,
  nactAskTimes,
  nactRate,
  pumpRate,
  xstateRate,
} from './messaging-local.ts';
import { bareMessages, bodyBytes, comlinkCalls, perFrame, RemoteBench, remoteMessages } from './messaging-remote.ts';

const roundTrips = 2000;

interface Measure {
  row: string;
  /** Messages per second. */
  run(): Promise<number> | number;
  /** The rows it is set against. */
  against?: string[];
}

interface RateRow {
  row: string;
  /** Median of the rounds. */
  perSecond: number;
  /** Of the rounds: the nearest to what the machine can do when others do not use it. */
  bestPerSecond: number;
  /** This rate as a share of the other's, medians of the same rounds. */
  ratios?: Record<string, number>;
}

interface TripRow {
  row: string;
  p50Us: number;
  p99Us: number;
}

export async function measureMessaging(cleanup: Cleanup, options: BenchOptions): Promise<BenchResult> {
  let finish: () => void = () => undefined;
  const arm = (finished: () => void): void => {
    finish = finished;
  };
  const local = createBenchSystem(senderThread, [pumpDefinition(() => finish()), sinkDefinition('sender')]);
  cleanup.after(async () => void (await local.drain(1000)));
  const remote = new RemoteBench(() => finish());
  cleanup.after(() => remote.close());
  const body = new Uint8Array(bodyBytes);
  const rates = await measureRates(options.rounds, [
    { row: 'bare loop over a queue', run: bareLoopRate },
    {
      row: 'tell inside a thread, empty handler',
      run: () => pumpRate(local, { messages: localMessages, body: 1 }, arm),
      against: ['bare loop over a queue', 'nact dispatch, empty handler', 'xstate send, empty handler'],
    },
    { row: 'nact dispatch, empty handler', run: nactRate },
    { row: 'xstate send, empty handler', run: xstateRate },
    {
      row: `tell across threads, ${bodyBytes} B, decoded and handled`,
      run: () => pumpRate(remote.system, { messages: remoteMessages, body }, arm),
      against: ['bare framed port, decoded', 'bare postMessage, one each', 'comlink calls, 64 under way'],
    },
    { row: 'bare framed port, decoded', run: () => remote.bareFramedRate() },
    { row: 'bare postMessage, one each', run: () => remote.barePostRate() },
    { row: 'comlink calls, 64 under way', run: () => remote.comlinkRate() },
  ]);
  const trips = await measureTrips(options.rounds, [
    { row: 'ask across threads', run: () => remote.askTimes(roundTrips) },
    { row: 'bare postMessage round trip', run: () => remote.barePostTimes(roundTrips) },
    { row: 'comlink call', run: () => remote.comlinkTimes(roundTrips) },
    { row: 'nact query, same thread', run: () => nactAskTimes(roundTrips) },
  ]);
  const density = await measureDensity(options.rounds);
  const rows = [...rates, ...trips, { row: `${idleActors} idle actors in one thread`, ...density }];
  const settings = {
    ...machineSettings(),
    rounds: options.rounds,
    window,
    localMessages,
    libraryMessages,
    remoteMessages,
    bareMessages,
    comlinkCalls,
    perFrame,
    bodyBytes,
    roundTrips,
    idleActors,
  };
  return { settings, rows, goals: goalsOf(rates, trips, density) };
}

/** Round by round all of them, so that a slow minute is everybody's; the first round warms up and does not count. */
async function measureRates(rounds: number, measures: readonly Measure[]): Promise<RateRow[]> {
  const results = new Map<string, number[]>(measures.map(({ row }) => [row, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const { row, run } of measures) {
      const perSecond = await run();
      if (round > 0) results.get(row)?.push(perSecond);
    }
  }
  const rateOf = (row: string): number => Math.round(median(results.get(row) ?? []));
  return measures.map(({ row, against }) => ({
    row,
    perSecond: rateOf(row),
    bestPerSecond: Math.round(Math.max(...(results.get(row) ?? [0]))),
    ...(against === undefined
      ? {}
      : { ratios: Object.fromEntries(against.map((other) => [other, round2(rateOf(row) / rateOf(other))])) }),
  }));
}

async function measureTrips(
  rounds: number,
  measures: readonly { row: string; run(): Promise<number[]> }[],
): Promise<TripRow[]> {
  const timesUs = new Map<string, number[]>(measures.map(({ row }) => [row, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const { row, run } of measures) {
      const times = await run();
      if (round > 0) timesUs.get(row)?.push(...times);
    }
  }
  return measures.map(({ row }) => {
    const sorted = (timesUs.get(row) ?? []).sort((one, other) => one - other);
    const at = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
    return { row, p50Us: at(0.5), p99Us: at(0.99) };
  });
}

/** By the best round: a goal says what the code can do, not how busy its neighbours were. */
function goalsOf(rates: readonly RateRow[], trips: readonly TripRow[], density: Density): BenchGoal[] {
  const rateOf = (start: string): number => rates.find(({ row }) => row.startsWith(start))?.bestPerSecond ?? 0;
  const ask = trips.find(({ row }) => row === 'ask across threads')?.p50Us ?? Number.POSITIVE_INFINITY;
  const atLeast = (row: string, least: number, measured: number, unit: string): BenchGoal => ({
    row,
    goal: `>= ${least} ${unit}`,
    measured,
    met: measured >= least,
  });
  const below = (row: string, most: number, measured: number, unit: string): BenchGoal => ({
    row,
    goal: `< ${most} ${unit}`,
    measured,
    met: measured < most,
  });
  return [
    atLeast('tell inside a thread', 5_000_000, rateOf('tell inside'), 'messages/s'),
    atLeast('tell across threads', 500_000, rateOf('tell across'), 'messages/s'),
    below('ask across threads, p50', 60, ask, 'µs'),
    below('idle actor beside its own state', 400, density.bytesPerActor, 'bytes'),
    atLeast('actors created', 200_000, density.createdPerSecond, 'actors/s'),
  ];
}

function round2(value: number): number {
  return Number(value.toFixed(2));
}
