// How much does durable ingest cost beyond the raw limit of this machine? The product and the raw limit take the same
// load in turns, several rounds, so that a noisy machine is noisy for both; what counts is the ratio of the medians.

import type { Cleanup } from '../test/support/cleanup.ts';
import { BenchProcess, runLoad } from './bench-process.ts';
import { benchWriteKey, durabilityOf, startBenchProgram, waitUntilDrained } from './bench-program.ts';
import { type BenchOptions, type BenchSettings, benchSettings, median } from './bench-settings.ts';
import { LatencyHistogram, type LatencySummary } from './latency-histogram.ts';
import type { LoadResult } from './load-generator.ts';
import type { RawReady } from './raw-ingest.ts';

interface Shape {
  name: string;
  path: string;
  eventsPerRequest: number;
  connections: number;
}

const shapes: readonly Shape[] = [
  { name: 'single events', path: '/v1/track', eventsPerRequest: 1, connections: 256 },
  { name: 'batches of 20', path: '/v1/batch', eventsPerRequest: 20, connections: 64 },
];

export interface IngestRow {
  shape: string;
  connections: number;
  eventsPerSecond: number;
  /** Of each round. */
  rates: number[];
  latency: LatencySummary;
  rawEventsPerSecond: number;
  rawLatency: LatencySummary;
  ratioToRaw: number;
  refused: Record<string, number>;
}

export interface IngestResult {
  settings: BenchSettings;
  rows: IngestRow[];
}

interface Measured {
  rates: number[];
  latencies: LatencyHistogram;
  refused: Record<string, number>;
}

export async function measureIngest(cleanup: Cleanup, options: BenchOptions): Promise<IngestResult> {
  const program = await startBenchProgram(cleanup, []);
  const raw = new BenchProcess(cleanup, './raw-ingest');
  const { port: rawPort } = await raw.ask<RawReady>({ eventBytes: options.eventBytes });
  const rows: IngestRow[] = [];
  for (const shape of shapes) {
    const connections = options.connections || shape.connections;
    const load = { ...shape, ...options, connections, host: '127.0.0.1', writeKey: benchWriteKey, users: 10_000 };
    const product: Measured = { rates: [], latencies: new LatencyHistogram(), refused: {} };
    const limit: Measured = { rates: [], latencies: new LatencyHistogram(), refused: {} };
    for (let round = 0; round < options.rounds; round += 1) {
      note(limit, await runLoad(cleanup, { ...load, port: rawPort }));
      note(product, await runLoad(cleanup, { ...load, port: program.options.gatewayPort }));
      // What the pipeline still has to do must not take from the next measurement.
      await waitUntilDrained(program);
    }
    rows.push({
      shape: shape.name,
      connections,
      eventsPerSecond: Math.round(median(product.rates)),
      rates: product.rates.map(Math.round),
      latency: product.latencies.summary(),
      rawEventsPerSecond: Math.round(median(limit.rates)),
      rawLatency: limit.latencies.summary(),
      ratioToRaw: Number((median(product.rates) / median(limit.rates)).toFixed(3)),
      refused: product.refused,
    });
  }
  return { settings: benchSettings(options, await durabilityOf(program)), rows };
}

function note(measured: Measured, result: LoadResult): void {
  measured.rates.push((result.events / result.elapsedMs) * 1000);
  measured.latencies.add(result.latencyCounts);
  for (const [status, count] of Object.entries(result.refused)) {
    measured.refused[status] = (measured.refused[status] ?? 0) + count;
  }
}
