// Proves what leaves the process as metrics: the text Prometheus reads, the OTLP a collector gets, and totals that go
// on where a respawned thread starts again at zero.

import assert from 'node:assert';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test, { type TestContext } from 'node:test';
import { createMetrics, createMetricsExport, type MetricsExportOptions, realSeams } from '../../runtime/index.ts';
import { exportTimes } from '../../runtime/metrics-export.ts';
import { recordVitals } from '../../runtime/vitals.ts';
import { startOtlpSink } from '../support/otlp-sink.ts';
import { parsePrometheusText, sampleValue } from '../support/prometheus-text.ts';
import { startTelemetryThread } from '../support/telemetry-thread.ts';

const DEADLINE = { timeout: 30_000 };

test('prints counters, gauges and histograms as Prometheus reads them', DEADLINE, async (t) => {
  const { exporter, scrape } = await setup(t);
  const metrics = createMetrics();
  metrics.counter('sluice_events_total', 'Events "taken"\nand a \\').add(5, { source: 'quote " back \\ line \n end' });
  metrics.gauge('sluice_actors', 'Actors').set(2.5, { kind: 'router' });
  const histogram = metrics.histogram('sluice_commit_ms', 'Commit', [1, 2.5, 10]);
  for (const value of [0.5, 1, 2, 11]) histogram.record(value, { lane: '0' });
  recordVitals(
    metrics,
    { heapUsedBytes: 1, heapTotalBytes: 2, externalBytes: 3, eventLoopUtilization: 0.5 },
    { residentBytes: 1e8, startedAtSeconds: 1.7e9 },
  );
  exporter.publish('main', metrics.snapshot());

  const families = parsePrometheusText(await scrape());
  assert.equal(families.get('sluice_events_total')?.type, 'counter');
  assert.equal(sampleValue(families, 'sluice_events_total', { source: 'quote " back \\ line \n end' }), 5);
  assert.equal(families.get('sluice_actors')?.type, 'gauge');
  assert.equal(sampleValue(families, 'sluice_actors', { kind: 'router', thread: 'main' }), 2.5);
  assert.equal(families.get('sluice_commit_ms')?.type, 'histogram');
  const buckets = ['1', '2.5', '10', '+Inf'].map((le) => {
    return sampleValue(families, 'sluice_commit_ms_bucket', { lane: '0', le });
  });
  assert.deepEqual(buckets, [2, 3, 3, 4]);
  assert.equal(sampleValue(families, 'sluice_commit_ms_sum', { lane: '0' }), 14.5);
  assert.equal(sampleValue(families, 'sluice_commit_ms_count', { lane: '0' }), 4);
  assert.equal(sampleValue(families, 'process_resident_memory_bytes'), 1e8);
  assert.equal(sampleValue(families, 'sluice_thread_event_loop_utilization_ratio', { thread: 'main' }), 0.5);
  assert.equal(families.get('target_info')?.samples[0]?.labels.service_name, 'sluice');
});

test('asks all threads once before each scrape', DEADLINE, async (t) => {
  let collected = 0;
  const metrics = createMetrics();
  const { exporter, scrape } = await setup(t, {
    collect: async () => {
      collected += 1;
      metrics.counter('sluice_events_total', 'Events').add(1);
      exporter.publish('main', metrics.snapshot());
    },
  });
  for (const expected of [1, 2]) {
    assert.equal(sampleValue(parsePrometheusText(await scrape()), 'sluice_events_total'), expected);
    assert.equal(collected, expected);
  }
});

test('shows the last figures when the threads could not be asked', DEADLINE, async (t) => {
  const warnings: string[] = [];
  const { exporter, scrape } = await setup(t, {
    collect: () => Promise.reject(new Error('thread lost')),
    log: { warn: (_fields, text) => warnings.push(text) },
  });
  const metrics = createMetrics();
  metrics.counter('sluice_events_total', 'Events').add(3);
  exporter.publish('main', metrics.snapshot());
  assert.equal(sampleValue(parsePrometheusText(await scrape()), 'sluice_events_total'), 3);
  assert.equal(warnings.length, 1);
});

test('keeps totals going up over the respawn of real threads', DEADLINE, async (t) => {
  const { exporter, scrape } = await setup(t);
  const first = await startTelemetryThread(t, 'actors-1');
  const other = await startTelemetryThread(t, 'actors-2');
  await first.count('sluice_events_total', 70);
  await other.count('sluice_events_total', 1);
  exporter.publish('actors-1', await first.snapshot());
  exporter.publish('actors-2', await other.snapshot());
  const seen = [await total()];

  await first.terminate();
  exporter.retire('actors-1');
  seen.push(await total());
  const second = await startTelemetryThread(t, 'actors-1');
  exporter.publish('actors-1', await second.snapshot());
  seen.push(await total());
  await second.count('sluice_events_total', 5);
  exporter.publish('actors-1', await second.snapshot());
  seen.push(await total());
  await second.terminate();
  const third = await startTelemetryThread(t, 'actors-1');
  await third.count('sluice_events_total', 2);
  exporter.publish('actors-1', await third.snapshot());
  seen.push(await total());
  assert.deepEqual(seen, [71, 71, 71, 76, 78]);

  async function total(): Promise<number | undefined> {
    return sampleValue(parsePrometheusText(await scrape()), 'sluice_events_total');
  }
});

test('sends the same figures over OTLP when an endpoint is set', DEADLINE, async (t) => {
  const sink = await startOtlpSink(t);
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = sink.endpoint;
  t.after(() => delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT);
  const { exporter } = await setup(t, { environment: process.env });
  const metrics = createMetrics();
  metrics.counter('sluice_events_total', 'Events').add(5, { source: 'a' });
  metrics.histogram('sluice_commit_ms', 'Commit', [1, 10]).record(4);
  metrics.gauge('sluice_actors', 'Actors').set(2.5);
  exporter.publish('main', metrics.snapshot());
  await exporter.shutdown(10_000);

  const received = await sink.waitForMetrics((all) => all.some((metric) => metric.name === 'sluice_events_total'));
  const [events, commit, actors] = ['sluice_events_total', 'sluice_commit_ms', 'sluice_actors'].map((name) => {
    return received.find((metric) => metric.name === name);
  });
  assert.deepEqual([events?.kind, events?.monotonic, events?.cumulative], ['sum', true, true]);
  assert.deepEqual([events?.points[0]?.value, events?.points[0]?.attributes], [5, { source: 'a' }]);
  assert.deepEqual(commit?.points[0]?.histogram, { count: 1, sum: 4, counts: [0, 1, 0], bounds: [1, 10] });
  assert.deepEqual([actors?.kind, actors?.points[0]?.value], ['gauge', 2.5]);
  assert.equal(events?.resource['service.name'], 'sluice');
  assert((events?.points[0]?.endNanos ?? 0n) >= (events?.points[0]?.startNanos ?? 1n));
});

test('never asks the reader for a timeout beyond its interval', () => {
  const times = (interval?: string, timeout?: string) =>
    Object.values(exportTimes({ OTEL_METRIC_EXPORT_INTERVAL: interval, OTEL_METRIC_EXPORT_TIMEOUT: timeout }));
  assert.deepEqual(times(), [60_000, 30_000]);
  assert.deepEqual(times('1000'), [1_000, 1_000]);
  assert.deepEqual(times('90000', '500'), [90_000, 500]);
  assert.deepEqual(times('-1', 'soon'), [60_000, 30_000]);
});

async function setup(t: TestContext, options: Partial<MetricsExportOptions> = {}) {
  const exporter = await createMetricsExport({
    environment: {},
    serviceName: 'sluice',
    collect: () => Promise.resolve(),
    log: { warn: (fields, text) => assert.fail(`${text} ${JSON.stringify(fields)}`) },
    clock: realSeams().clock,
    ...options,
  });
  t.after(() => exporter.shutdown(1_000));
  const server = createServer(exporter.metricsHandler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  const url = `http://127.0.0.1:${address.port}/metrics`;
  async function scrape(): Promise<string> {
    const response = await fetch(url);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
    return response.text();
  }
  return { exporter, scrape };
}
