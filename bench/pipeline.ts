// The whole way: HTTP in, through both queues, one HTTP request per event out to a local sink. A closed loop fills the
// pipeline faster than it may empty, so two rates are told: accepted while the load runs, and delivered from the first
// request to the last delivery.

import type { Cleanup } from '../test/support/cleanup.ts';
import { pollUntil } from '../test/support/poll.ts';
import { BenchProcess, runLoad } from './bench-process.ts';
import { benchWriteKey, durabilityOf, startBenchProgram, waitUntilDrained } from './bench-program.ts';
import { type BenchOptions, type BenchSettings, benchSettings, median } from './bench-settings.ts';
import { LatencyHistogram, type LatencySummary } from './latency-histogram.ts';
import type { SinkReport } from './sink.ts';

const shapes = [
  { name: 'single events', path: '/v1/track', eventsPerRequest: 1, connections: 64 },
  { name: 'batches of 20', path: '/v1/batch', eventsPerRequest: 20, connections: 16 },
] as const;

const deliveredMs = 300_000;

export interface PipelineRow {
  shape: string;
  connections: number;
  acceptedPerSecond: number;
  deliveredPerSecond: number;
  acceptLatency: LatencySummary;
  /** From sending the request to the arrival at the sink, time in the queues included. */
  deliveryLatency: LatencySummary;
  events: number;
  /** Deliveries beyond one per accepted event, or fewer when negative. */
  surplus: number;
}

export interface PipelineResult {
  settings: BenchSettings;
  rows: PipelineRow[];
}

export async function measurePipeline(cleanup: Cleanup, options: BenchOptions): Promise<PipelineResult> {
  const sink = new BenchProcess(cleanup, './sink');
  const { port } = await sink.next<{ port: number }>();
  const program = await startBenchProgram(cleanup, [{ id: 'dst-bench', url: `http://127.0.0.1:${port}/` }]);
  const rows: PipelineRow[] = [];
  for (const shape of shapes) {
    const connections = options.connections || shape.connections;
    const load = { ...shape, ...options, connections, host: '127.0.0.1', writeKey: benchWriteKey, users: 10_000 };
    const accepted: number[] = [];
    const delivered: number[] = [];
    const acceptLatencies = new LatencyHistogram();
    const deliveryLatencies = new LatencyHistogram();
    let events = 0;
    let arrivals = 0;
    for (let round = 0; round < options.rounds; round += 1) {
      const beganAt = performance.now();
      const result = await runLoad(cleanup, { ...load, port: program.options.gatewayPort });
      const arrived = await waitForArrivals(sink, result.eventsTotal, deliveryLatencies);
      delivered.push((arrived / (performance.now() - beganAt)) * 1000);
      accepted.push((result.events / result.elapsedMs) * 1000);
      acceptLatencies.add(result.latencyCounts);
      events += result.eventsTotal;
      arrivals += arrived;
      await waitUntilDrained(program);
    }
    rows.push({
      shape: shape.name,
      connections,
      acceptedPerSecond: Math.round(median(accepted)),
      deliveredPerSecond: Math.round(median(delivered)),
      acceptLatency: acceptLatencies.summary(),
      deliveryLatency: deliveryLatencies.summary(),
      events,
      surplus: arrivals - events,
    });
  }
  return { settings: benchSettings(options, await durabilityOf(program)), rows };
}

async function waitForArrivals(sink: BenchProcess, events: number, latencies: LatencyHistogram): Promise<number> {
  let arrived = 0;
  const look = async (): Promise<true | undefined> => {
    const report = await sink.ask<SinkReport>('report');
    arrived += report.events;
    latencies.add(report.latencyCounts);
    return arrived >= events ? true : undefined;
  };
  await pollUntil(`${events} events to arrive`, look, deliveredMs);
  return arrived;
}
