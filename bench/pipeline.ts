// The whole way: HTTP in, through both queues, one HTTP request per event out to a local sink. A closed loop fills the
// pipeline faster than it may empty, so two rates are told: accepted while the load runs, and delivered from the first
// request to the last delivery. Then a fixed rate is offered in an open loop, for the time from accept to delivery.

import { pollUntil } from '../test/support/poll.ts';
import type { Program } from '../test/support/program.ts';
import { BenchProcess, type LoadRequest, runLoad } from './bench-process.ts';
import {
  arrivalCheck,
  benchWriteKey,
  cpuConsumersOf,
  durabilityOf,
  ledgerCheck,
  orderCheck,
  startBenchProgram,
  waitUntilDrained,
} from './bench-program.ts';
import { atLeast, atMost, type Figure, figure, type Goal, type Ratio, ratioOf } from './harness/figures.ts';
import { namedLatency } from './harness/merge.ts';
import { count, names, rounds, seconds } from './harness/options.ts';
import { cpuShares, readCpu } from './harness/process-cpu.ts';
import { type CpuSplit, defineScenario, type Measurement, type NamedLatency, type Run } from './harness/scenario.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import type { RequestShape } from './load-generator.ts';
import { PipelineLimit } from './pipeline-limit.ts';
import type { SinkReport } from './sink.ts';

interface Shape {
  name: string;
  request: RequestShape;
  connections: number;
  /** Of the design, where this is it. */
  row?: string;
}

const single: RequestShape = { path: '/v1/track', eventsPerRequest: 1, weight: 1 };
const shapes: Readonly<Record<string, Shape>> = {
  single: { name: 'single events', request: single, connections: 64, row: 'E1' },
  batch: { name: 'batches of 20', request: { path: '/v1/batch', eventsPerRequest: 20, weight: 1 }, connections: 16 },
};
const offeredConnections = 64;

const deliveredMs = 300_000;
const deliveryP95MsMax = 25;
const rawShareMin = 0.6;

const options = {
  rounds: rounds(),
  seconds: seconds(5),
  warmUpSeconds: { ...seconds(1), min: 0, doc: 'load before each measurement' },
  connections: { ...count(0, 'keep-alive connections; 0: the shape’s own', 1024), min: 0 },
  eventBytes: count(1024, 'size of an event', 100_000),
  offeredPerSecond: count(1000, 'events per second of the open loop'),
  shapes: names(Object.keys(shapes), 'kinds of requests'),
};

export const pipeline = defineScenario({
  name: 'pipeline',
  question: 'the whole way of an event to a local destination, highest rate and latency',
  rawLimit: 'uWebSockets.js to COPY to undici, in turns with ours',
  peers: [],
  goalRows: ['E1', 'R5'],
  options,
  quick: { rounds: 2, seconds: 3 },
  async measure(run): Promise<Measurement> {
    const { cleanup } = run;
    const sink = new BenchProcess(cleanup, './sink');
    const { port } = await sink.next<{ port: number }>();
    const destinations = [{ id: 'dst-bench', url: `http://127.0.0.1:${port}/` }];
    const program = await startBenchProgram(run, { destinations });
    const limit = await PipelineLimit.start(cleanup, { process: sink, port }, run.options.eventBytes);
    const result: Result = {
      figures: [],
      ratios: [],
      latencies: [],
      cpu: [],
      goals: [],
      reports: [],
      accepted: 0,
      arrived: 0,
    };
    const flow = new Flow(run, program, sink, result);
    for (const name of run.options.shapes) {
      const shape = shapes[name];
      if (shape !== undefined) await measureHighest(flow, shape, limit);
    }
    await measureOffered(flow);
    const { reports, accepted, arrived, ...measurement } = result;
    const checks = [await ledgerCheck(cleanup, program), orderCheck(reports), arrivalCheck(accepted, arrived)];
    const notMeasured = [{ row: 'E2', why: 'deliveries leave one by one, not in batches' }];
    return { ...measurement, events: accepted, settings: await durabilityOf(program), notMeasured, checks };
  },
});

/** One load and all its deliveries. */
class Flow {
  readonly run: Pick<Run<typeof options>, 'cleanup' | 'options' | 'say'>;
  readonly result: Result;
  readonly #program: Program;
  readonly #sink: BenchProcess;

  constructor(run: Flow['run'], program: Program, sink: BenchProcess, result: Result) {
    this.run = run;
    this.result = result;
    this.#program = program;
    this.#sink = sink;
  }

  loadOf(request: RequestShape, load: { connections: number; ratePerSecond: number }): LoadRequest {
    return {
      ...this.run.options,
      ...load,
      dropsLate: false,
      requestsMax: 0,
      host: '127.0.0.1',
      port: this.#program.options.gatewayPort,
      writeKeys: [benchWriteKey],
      requests: [request],
    };
  }

  async send(request: RequestShape, load: { connections: number; ratePerSecond: number }): Promise<FlowResult> {
    const consumers = cpuConsumersOf(this.#program, { sink: this.#sink.pid });
    const before = readCpu(consumers);
    const beganAt = performance.now();
    const answer = await runLoad(this.run.cleanup, this.loadOf(request, load));
    const delivery = new LatencyHistogram();
    const arrived = await waitForArrivals(this.#sink, answer.eventsTotal, delivery, this.result.reports);
    const elapsedMs = performance.now() - beganAt;
    const cpu = cpuShares(before, readCpu(consumers));
    this.result.accepted += answer.eventsTotal;
    this.result.arrived += arrived;
    await waitUntilDrained(this.#program);
    return {
      acceptedPerSecond: (answer.events / answer.elapsedMs) * 1000,
      deliveredPerSecond: (arrived / elapsedMs) * 1000,
      accept: answer.latencyCounts,
      delivery,
      cpu,
    };
  }
}

interface FlowResult {
  acceptedPerSecond: number;
  deliveredPerSecond: number;
  accept: readonly number[];
  delivery: LatencyHistogram;
  cpu: Record<string, number>;
}

async function measureHighest(flow: Flow, shape: Shape, limit: PipelineLimit): Promise<void> {
  const { run, result } = flow;
  const connections = run.options.connections || shape.connections;
  const title = `${shape.name}, ${connections} connections`;
  const load = { connections, ratePerSecond: 0 };
  const limits: number[] = [];
  const beside = async (): Promise<void> => {
    limits.push(await limit.deliveredPerSecond(flow.loadOf(shape.request, load)));
  };
  const flows = await inRounds(flow, title, () => flow.send(shape.request, load), beside);
  const rates = (of: (one: FlowResult) => number): number[] => flows.map(of);
  const accepted = rates((one) => one.acceptedPerSecond);
  const delivered = figure(
    `${title}: delivered`,
    'events/s',
    'higher',
    rates((one) => one.deliveredPerSecond),
  );
  const bare = figure(`${title}: delivered, raw`, 'events/s', 'higher', limits, 'raw limit');
  const ratio = ratioOf(delivered, bare);
  result.figures.push(figure(`${title}: accepted`, 'events/s', 'higher', accepted), delivered, bare);
  result.ratios.push(ratio);
  if (shape.row !== undefined) {
    result.goals.push(atLeast(shape.row, `${title}: share of the raw limit`, rawShareMin, ratio.rounds));
  }
  result.cpu.push({ name: title, shares: flows.at(-1)?.cpu ?? {} });
}

/** Row R5. */
async function measureOffered(flow: Flow): Promise<void> {
  const { run, result } = flow;
  const offered = run.options.offeredPerSecond;
  const title = `${offered} events/s offered`;
  const flows = await inRounds(flow, title, () =>
    flow.send(single, { connections: offeredConnections, ratePerSecond: offered }),
  );
  const p95 = flows.map(({ delivery }) => delivery.percentileMs(0.95));
  result.goals.push(atMost('R5', `delivery p95 at ${title}`, deliveryP95MsMax, p95, 'ms'));
}

/** `beside` is measured in turns with it, every second round first. */
async function inRounds(
  flow: Flow,
  title: string,
  send: () => Promise<FlowResult>,
  beside: () => Promise<void> = async () => undefined,
): Promise<FlowResult[]> {
  const { run, result } = flow;
  const [accept, delivery] = [new LatencyHistogram(), new LatencyHistogram()];
  const flows: FlowResult[] = [];
  for (let round = 0; round < run.options.rounds; round += 1) {
    run.say(`${title}, round ${round + 1} of ${run.options.rounds}`);
    if (round % 2 === 1) await beside();
    const one = await send();
    if (round % 2 === 0) await beside();
    accept.add(one.accept);
    delivery.add(one.delivery.counts);
    flows.push(one);
  }
  result.latencies.push(namedLatency(`${title}: accept`, accept), namedLatency(`${title}: delivery`, delivery));
  return flows;
}

interface Result {
  figures: Figure[];
  ratios: Ratio[];
  latencies: NamedLatency[];
  cpu: CpuSplit[];
  goals: Goal[];
  reports: SinkReport[];
  accepted: number;
  arrived: number;
}

async function waitForArrivals(
  sink: BenchProcess,
  events: number,
  latencies: LatencyHistogram,
  reports: SinkReport[],
): Promise<number> {
  let arrived = 0;
  const look = async (): Promise<true | undefined> => {
    const report = await sink.ask<SinkReport>('report');
    if (report.events > 0) reports.push(report);
    arrived += report.events;
    latencies.add(report.latencyCounts);
    return arrived >= events ? true : undefined;
  };
  await pollUntil(`${events} events to arrive`, look, deliveredMs);
  return arrived;
}
