// How much does durable ingest cost beyond the raw limit of this machine? The product and the raw limit take the same
// load in turns, several rounds, so that a noisy machine is noisy for both; what counts is the ratio of the two rates
// measured next to each other. A last measurement offers half of the highest rate in an open loop, for honest latencies.

import type { Program } from '../test/support/program.ts';
import { BenchProcess, type LoadRequest, runLoad } from './bench-process.ts';
import {
  benchWriteKey,
  cpuConsumersOf,
  durabilityOf,
  ledgerCheck,
  startBenchProgram,
  waitUntilDrained,
} from './bench-program.ts';
import { atLeast, atMost, type Figure, figure, type Goal, median, type Ratio, ratioOf } from './harness/figures.ts';
import { namedLatency } from './harness/merge.ts';
import { count, counts, names, rounds, seconds } from './harness/options.ts';
import { cpuShares, readCpu } from './harness/process-cpu.ts';
import {
  type CpuSplit,
  defineScenario,
  type Measurement,
  type NamedLatency,
  type Run,
  type Series,
} from './harness/scenario.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import type { LoadResult, RequestShape } from './load-generator.ts';
import { programMemory } from './program-memory.ts';
import type { RawReady } from './raw-ingest.ts';

interface Shape {
  name: string;
  requests: readonly RequestShape[];
  connections: number;
  goal?: { row: string; least: number };
}

const single: RequestShape = { path: '/v1/track', eventsPerRequest: 1, weight: 1 };
const batch = (eventsPerRequest: number, weight = 1): RequestShape => ({ path: '/v1/batch', eventsPerRequest, weight });

/** The mix: SDKs of servers flush by 20, those of apps and pages by what came in a few seconds, some send one by one. */
const shapes: Readonly<Record<string, Shape>> = {
  single: { name: 'single events', requests: [single], connections: 256, goal: { row: 'G1', least: 0.75 } },
  batch: { name: 'batches of 20', requests: [batch(20)], connections: 64, goal: { row: 'G2', least: 0.75 } },
  mix: {
    name: 'mix of SDKs',
    requests: [{ ...single, weight: 8 }, batch(2, 3), batch(5, 2), batch(20, 3)],
    connections: 128,
  },
};

const optionSpecs = {
  rounds: rounds(),
  seconds: seconds(5),
  warmUpSeconds: { ...seconds(1), min: 0, doc: 'load before each measurement' },
  connections: counts([0], 'keep-alive connections, one figure each (up to 1024); 0: the shape’s own', 1024),
  eventBytes: count(1024, 'size of an event', 100_000),
  shapes: names(Object.keys(shapes), 'kinds of requests'),
};
const options = { ...optionSpecs, connections: { ...optionSpecs.connections, min: 0 } };

interface Measured {
  events: number;
  rates: number[];
  latencies: LatencyHistogram;
  refused: number;
  perQuarter: number[];
}

const measured = (): Measured => ({
  events: 0,
  rates: [],
  latencies: new LatencyHistogram(),
  refused: 0,
  perQuarter: [],
});

export const ingest = defineScenario({
  name: 'ingest',
  question: 'what durable ingest costs beside this machine’s raw limit',
  rawLimit: 'bare uWebSockets.js to binary COPY, same engine, threads and PostgreSQL settings',
  peers: [],
  goalRows: ['G1', 'G2', 'G3', 'G4'],
  options,
  quick: { rounds: 3, seconds: 2, warmUpSeconds: 0.5 },
  async measure(run): Promise<Measurement> {
    const { cleanup, options: chosen } = run;
    const program = await startBenchProgram(run, { destinations: [] });
    const raw = new BenchProcess(cleanup, './raw-ingest');
    const { port: rawPort } = await raw.ask<RawReady>({ eventBytes: chosen.eventBytes });
    const result: Result = { figures: [], ratios: [], latencies: [], series: [], cpu: [], goals: [], curve: [] };
    let events = 0;
    for (const name of chosen.shapes) {
      const shape = shapes[name];
      if (shape === undefined) continue;
      for (const wanted of chosen.connections) {
        const connections = wanted || shape.connections;
        const load = loadOf(shape, connections, chosen);
        const both = await measureShape({ run, program, rawPort, load, title: titleOf(shape, connections) }, result);
        addShape(result, shape, connections, both);
        events += both.product.events;
        if (name !== 'single' || wanted !== chosen.connections[0]) continue;
        const memory = programMemory(program);
        result.goals.push(...memory.goals);
        result.figures.push(...memory.figures);
        await measureHalf(result, program, { ...load, ratePerSecond: median(both.product.rates) / 2 }, cleanup);
      }
    }
    const { curve, ...rest } = result;
    const settings = await durabilityOf(program);
    const checks = [await ledgerCheck(cleanup, program)];
    return { ...rest, events, series: [...rest.series, ...curveSeries(curve)], settings, checks };
  },
});

interface ShapeRun {
  run: Pick<Run<typeof options>, 'cleanup' | 'options' | 'say'>;
  program: Program;
  rawPort: number;
  load: LoadRequest;
  title: string;
}

/** The raw limit and the product, next to each other in every round. */
async function measureShape({ run, program, rawPort, load, title }: ShapeRun, { cpu }: Result) {
  const limit = measured();
  const product = measured();
  const both = [
    async () => note(limit, await runLoad(run.cleanup, { ...load, port: rawPort })),
    async () => {
      const before = readCpu(cpuConsumersOf(program, {}));
      note(product, await runLoad(run.cleanup, { ...load, port: program.options.gatewayPort }));
      const shares = cpuShares(before, readCpu(cpuConsumersOf(program, {})));
      if (product.rates.length === run.options.rounds) cpu.push({ name: title, shares });
      // What the pipeline still has to do must not take from the next measurement.
      await waitUntilDrained(program);
    },
  ];
  for (let round = 0; round < run.options.rounds; round += 1) {
    run.say(`${title}, round ${round + 1} of ${run.options.rounds}`);
    for (const measure of round % 2 === 0 ? both : both.toReversed()) await measure();
  }
  return { product, limit };
}

function titleOf({ name }: Shape, connections: number): string {
  return `${name}, ${connections} connections`;
}

interface Result {
  figures: Figure[];
  ratios: Ratio[];
  latencies: NamedLatency[];
  series: Series[];
  cpu: CpuSplit[];
  goals: Goal[];
  curve: { shape: string; connections: number; ours: number; raw: number }[];
}

function loadOf(
  shape: Shape,
  connections: number,
  values: { seconds: number; warmUpSeconds: number; eventBytes: number },
): LoadRequest {
  return {
    host: '127.0.0.1',
    port: 0,
    writeKeys: [benchWriteKey],
    requests: shape.requests,
    eventBytes: values.eventBytes,
    connections,
    warmUpSeconds: values.warmUpSeconds,
    seconds: values.seconds,
    ratePerSecond: 0,
    dropsLate: false,
    requestsMax: 0,
  };
}

function addShape(
  result: Result,
  shape: Shape,
  connections: number,
  { product, limit }: { product: Measured; limit: Measured },
): void {
  const title = titleOf(shape, connections);
  const ours = figure(title, 'events/s', 'higher', product.rates);
  const bare = figure(`${title}, raw`, 'events/s', 'higher', limit.rates, 'raw limit');
  const ratio = ratioOf(ours, bare);
  result.figures.push(ours, bare);
  if (product.refused > 0) {
    result.figures.push(figure(`${title}: refused`, 'requests', 'lower', [product.refused], 'fact'));
  }
  result.ratios.push(ratio);
  result.latencies.push(namedLatency(title, product.latencies), namedLatency(`${title}, raw`, limit.latencies));
  for (const [name, { perQuarter }] of Object.entries({ sluice: product, raw: limit })) {
    const points = perQuarter.map((events, index) => [index / 4, (events ?? 0) * 4] as const);
    result.series.push({ plot: `${title}: throughput`, name, xUnit: 's', yUnit: 'events/s', points });
  }
  result.curve.push({ shape: shape.name, connections, ours: median(product.rates), raw: median(limit.rates) });
  if (shape.goal !== undefined && connections === shape.connections) {
    const { row, least } = shape.goal;
    result.goals.push(atLeast(row, `${title}: share of the raw limit`, least, ratio.rounds));
  }
}

/** Row G3: the waiting at half the rate, counted from when each request fell due. */
async function measureHalf(
  result: Result,
  program: Program,
  load: LoadRequest,
  cleanup: Parameters<typeof runLoad>[0],
): Promise<void> {
  const answer = await runLoad(cleanup, { ...load, port: program.options.gatewayPort });
  const latencies = new LatencyHistogram(answer.latencyCounts);
  const name = `half of that rate offered (${Math.round(load.ratePerSecond)}/s, open loop)`;
  result.latencies.push(namedLatency(name, latencies));
  result.goals.push(atMost('G3', `p99 at ${name}`, 15, [latencies.summary().p99Ms], 'ms'));
  await waitUntilDrained(program);
}

function curveSeries(curve: Result['curve']): Series[] {
  const names = [...new Set(curve.map(({ shape }) => shape))];
  const byShape = names.map((name) => [name, curve.filter(({ shape }) => shape === name)] as const);
  return byShape.flatMap(([shape, points]) =>
    points.length < 2
      ? []
      : (['ours', 'raw'] as const).map((name) => ({
          plot: `${shape}: scaling with connections`,
          name: name === 'ours' ? 'sluice' : 'raw',
          xUnit: 'connections',
          yUnit: 'events/s',
          points: points.map((point) => [point.connections, point[name]] as const),
        })),
  );
}

function note(into: Measured, result: LoadResult): void {
  into.events += result.eventsTotal;
  into.rates.push((result.events / result.elapsedMs) * 1000);
  into.latencies.add(result.latencyCounts);
  into.refused += Object.values(result.refused).reduce((sum, requests) => sum + requests, 0);
  into.perQuarter.push(...result.perQuarter);
}
