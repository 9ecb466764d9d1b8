// What a message costs: inside a thread, across threads, asked and answered, and what an idle actor weighs. Everything
// it is compared with runs in the same process and the same rounds, in turns, because the machine is never the same twice.

import { atLeast, atMost, type Figure, figure, type Goal, ratioOf } from './harness/figures.ts';
import { inTurns } from './harness/in-turns.ts';
import { namedLatency } from './harness/merge.ts';
import { count, rounds } from './harness/options.ts';
import { defineScenario, type Measurement, type NamedLatency } from './harness/scenario.ts';
import { LatencyHistogram } from './latency-histogram.ts';
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

interface Measure {
  name: string;
  of: Figure['of'];
  /** Messages per second. */
  run(): Promise<number> | number;
  /** The figures it is set against. */
  against?: readonly string[];
}

export const messaging = defineScenario({
  name: 'messaging',
  question: 'what a message between actors costs, in a thread and between two',
  rawLimit: 'a bare loop over a queue; our frames over a bare port',
  peers: ['nact 7.6.2', 'xstate 5.33.3', 'comlink 4.4.2'],
  goalRows: [],
  options: { rounds: rounds(), roundTrips: count(2000, 'asks per round, one after the other') },
  quick: { rounds: 2, roundTrips: 1000 },
  async measure({ cleanup, options }): Promise<Measurement> {
    let finish: () => void = () => undefined;
    const arm = (finished: () => void): void => {
      finish = finished;
    };
    const local = createBenchSystem(senderThread, [pumpDefinition(() => finish()), sinkDefinition('sender')]);
    cleanup.after(async () => void (await local.drain(1000)));
    const remote = new RemoteBench(() => finish());
    cleanup.after(() => remote.close());
    const body = new Uint8Array(bodyBytes);
    const measures: Measure[] = [
      { name: 'bare loop over a queue', of: 'raw limit', run: bareLoopRate },
      {
        name: 'tell inside a thread, empty handler',
        of: 'product',
        run: () => pumpRate(local, { messages: localMessages, body: 1 }, arm),
        against: ['bare loop over a queue', 'nact dispatch, empty handler', 'xstate send, empty handler'],
      },
      { name: 'nact dispatch, empty handler', of: 'peer', run: nactRate },
      { name: 'xstate send, empty handler', of: 'peer', run: xstateRate },
      {
        name: `tell across threads, ${bodyBytes} B, decoded and handled`,
        of: 'product',
        run: () => pumpRate(remote.system, { messages: remoteMessages, body }, arm),
        against: ['bare framed port, decoded', 'bare postMessage, one each', 'comlink calls, 64 under way'],
      },
      { name: 'bare framed port, decoded', of: 'raw limit', run: () => remote.bareFramedRate() },
      { name: 'bare postMessage, one each', of: 'raw limit', run: () => remote.barePostRate() },
      { name: 'comlink calls, 64 under way', of: 'peer', run: () => remote.comlinkRate() },
    ];
    const rates = await inTurns(measures, { rounds: options.rounds, warmUpRounds: 1 });
    const figures = measures.map(({ name, of }) => figure(name, 'messages/s', 'higher', rates.get(name) ?? [], of));
    const { latencies, askP50Us, ownP50Us } = await measureTrips(options.rounds, remote, options.roundTrips);
    const density = await measureDensity(options.rounds);
    const sizes = { window, localMessages, libraryMessages, remoteMessages, bareMessages, comlinkCalls, perFrame };
    return {
      settings: { ...sizes, bodyBytes, idleActors },
      figures: [...figures, ...densityFigures(density)],
      ratios: measures.flatMap(({ name, against = [] }) => against.map((other) => ratioBetween(figures, name, other))),
      latencies,
      goals: goalsOf(figures, { askP50Us, ownP50Us }, density),
      checks: [],
    };
  },
});

function ratioBetween(figures: readonly Figure[], name: string, other: string) {
  const [ours, theirs] = [name, other].map((wanted) => figures.find((one) => one.name === wanted));
  if (ours === undefined || theirs === undefined) throw new Error(`expected figures ${name} and ${other}`);
  return ratioOf(ours, theirs);
}

function densityFigures({ bytesPerActor, createdPerSecond }: Density): Figure[] {
  return [
    figure(`idle actor of ${idleActors}, beside its own state`, 'bytes', 'lower', [bytesPerActor]),
    figure('actors created', 'actors/s', 'higher', [createdPerSecond]),
  ];
}

/** The medians of each round; `ownP50Us`: what an ask takes beyond a bare round trip between the same threads. */
async function measureTrips(
  rounds: number,
  remote: RemoteBench,
  trips: number,
): Promise<{ latencies: NamedLatency[] } & AskTimes> {
  const kinds = [
    { name: askName, times: () => remote.askTimes(trips) },
    { name: bareTripName, times: () => remote.barePostTimes(trips) },
    { name: 'comlink call', times: () => remote.comlinkTimes(trips) },
    { name: 'nact query, same thread', times: () => nactAskTimes(trips) },
  ];
  const histograms = new Map(kinds.map(({ name }) => [name, new LatencyHistogram()]));
  let counted = false;
  const measures = kinds.map(({ name, times }) => ({
    name,
    run: async () => {
      const timesUs = await times();
      if (counted) for (const us of timesUs) histograms.get(name)?.record(us);
      return timesUs.sort((one, other) => one - other)[Math.floor(timesUs.length / 2)] ?? 0;
    },
  }));
  const onRound = (round: number): void => {
    counted = round > 0;
  };
  const medians = await inTurns(measures, { rounds, warmUpRounds: 1, onRound });
  const [askP50Us = [], bareP50Us = []] = [askName, bareTripName].map((name) => medians.get(name) ?? []);
  return {
    latencies: [...histograms].map(([name, histogram]) => namedLatency(name, histogram)),
    askP50Us,
    ownP50Us: askP50Us.map((us, round) => us - (bareP50Us[round] ?? 0)),
  };
}

const askName = 'ask across threads';
const bareTripName = 'bare postMessage round trip';

interface AskTimes {
  askP50Us: number[];
  ownP50Us: number[];
}

/** By the best round: a goal says what the code can do, not how busy its neighbours were. */
function goalsOf(figures: readonly Figure[], { askP50Us, ownP50Us }: AskTimes, density: Density): Goal[] {
  const best = (start: string): number[] => {
    const rounds = figures.find(({ name }) => name.startsWith(start))?.rounds ?? [];
    return rounds.length === 0 ? [] : [Math.max(...rounds)];
  };
  return [
    atLeast('tell', 'tell inside a thread, best round', 5_000_000, best('tell inside'), 'messages/s'),
    atLeast('tell', 'tell across threads, best round', 500_000, best('tell across'), 'messages/s'),
    atMost('ask', 'ask across threads, p50', 60, askP50Us, 'µs'),
    atMost('ask', 'ask across threads beyond a bare round trip, p50', 15, ownP50Us, 'µs'),
    atMost('actors', 'idle actor beside its own state', 400, [density.bytesPerActor], 'bytes'),
    atLeast('actors', 'actors created', 200_000, [density.createdPerSecond], 'actors/s'),
  ];
}
