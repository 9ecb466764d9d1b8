// The one MeterProvider of the process, on main: shows what all threads counted to Prometheus on the admin port, and to
// an OTLP collector where one is configured. The figures are ready-made sums, so they enter as a MetricProducer and no
// OpenTelemetry instrument is ever touched by the event path.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HrTime, ValueType } from '@opentelemetry/api';
import type * as sdk from '@opentelemetry/sdk-metrics';
import type { ActorLog } from './actor.ts';
import type { MetricSnapshot } from './metrics.ts';
import { createMetricTotals, type MetricTotals } from './metrics-totals.ts';
import type { Clock } from './seams.ts';
import { createDiagnostics } from './telemetry-diagnostics.ts';
import { isOtlpConfigured, settledWithin, type TracingOptions } from './tracing.ts';

export interface MetricsExportOptions {
  /** The environment of this process. It must be the real one: the SDK reads its OTEL_* variables there by itself. */
  environment: TracingOptions['environment'];
  /** Used where OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES name none. */
  serviceName: string;
  /**
   * Runs before every scrape: fetches the snapshots of all threads and publishes them. It must end by a deadline of its
   * own; when it fails, or a thread is missing, the figures published last are shown.
   */
  collect: () => Promise<unknown>;
  log: Pick<ActorLog, 'warn'>;
  clock: Clock;
}

export interface MetricsExport extends Pick<MetricTotals, 'publish' | 'retire'> {
  /** Answers GET /metrics of the admin server. */
  metricsHandler(request: IncomingMessage, response: ServerResponse): void;
  /** Exports a last time over OTLP, for at most `deadlineMs`; never rejects. */
  shutdown(deadlineMs: number): Promise<void>;
}

const EXPORT_INTERVAL_MS_DEFAULT = 60_000;
const EXPORT_TIMEOUT_MS_DEFAULT = 30_000;

export async function createMetricsExport(options: MetricsExportOptions): Promise<MetricsExport> {
  const [api, metrics, resources, { PrometheusExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/exporter-prometheus'),
  ]);
  const { environment, serviceName, clock } = options;
  api.diag.setLogger(createDiagnostics(options.log, clock), {
    logLevel: api.DiagLogLevel.WARN,
    suppressOverrideMessage: true,
  });
  const resource = resources
    .defaultResource()
    .merge(resources.resourceFromAttributes({ 'service.name': serviceName }))
    .merge(resources.detectResources({ detectors: [resources.envDetector, resources.hostDetector] }));
  await resource.waitForAsyncAttributes?.();
  const totals = createMetricTotals();
  const producer = new TotalsProducer({
    ...options,
    totals,
    resource,
    types: metrics,
    valueType: api.ValueType.DOUBLE,
  });
  const metricProducers = [producer];
  const prometheus = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true, metricProducers });
  const readers: sdk.IMetricReader[] = [prometheus];
  if (isMetricsOtlpConfigured(environment)) {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
    const exporter = new OTLPMetricExporter();
    readers.push(new metrics.PeriodicExportingMetricReader({ exporter, metricProducers, ...exportTimes(environment) }));
  }
  const provider = new metrics.MeterProvider({ resource, readers });
  return {
    publish: totals.publish,
    retire: totals.retire,
    metricsHandler: (request, response) => prometheus.getMetricsRequestHandler(request, response),
    shutdown: (deadlineMs) => settledWithin(deadlineMs, clock, provider.shutdown()),
  };
}

function isMetricsOtlpConfigured(environment: TracingOptions['environment']): boolean {
  return (
    isOtlpConfigured(environment, 'METRICS') && !(environment.OTEL_METRICS_EXPORTER ?? '').split(',').includes('none')
  );
}

/** Exported for its test. A time that is no positive number is ignored; the reader demands timeout <= interval. */
export function exportTimes(environment: TracingOptions['environment']): {
  exportIntervalMillis: number;
  exportTimeoutMillis: number;
} {
  const interval = positive(environment.OTEL_METRIC_EXPORT_INTERVAL) ?? EXPORT_INTERVAL_MS_DEFAULT;
  const timeout = positive(environment.OTEL_METRIC_EXPORT_TIMEOUT) ?? EXPORT_TIMEOUT_MS_DEFAULT;
  return { exportIntervalMillis: interval, exportTimeoutMillis: Math.min(timeout, interval) };
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return Number.isFinite(value) && value > 0 ? value : undefined;
}

interface ProducerOptions extends Pick<MetricsExportOptions, 'collect' | 'log' | 'clock'> {
  totals: MetricTotals;
  resource: sdk.ResourceMetrics['resource'];
  types: Pick<typeof sdk, 'DataPointType' | 'AggregationTemporality'>;
  valueType: ValueType;
}

/** Turns the totals into cumulative data points, histograms included, which no observable instrument could give. */
class TotalsProducer implements sdk.MetricProducer {
  readonly #options: ProducerOptions;
  readonly #startTime: HrTime;
  #collecting: Promise<void> | undefined;

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#startTime = toHrTime(options.clock.nowMs());
  }

  async collect(): Promise<sdk.CollectionResult> {
    // Prometheus and OTLP may ask at the same time: the threads are asked once.
    this.#collecting ??= this.#collect();
    await this.#collecting;
    const { totals, resource, clock } = this.#options;
    const endTime = toHrTime(clock.nowMs());
    const metrics = totals.read().map((snapshot) => this.#toMetricData(snapshot, endTime));
    return { resourceMetrics: { resource, scopeMetrics: [{ scope: { name: 'sluice' }, metrics }] }, errors: [] };
  }

  async #collect(): Promise<void> {
    try {
      await this.#options.collect();
    } catch (error) {
      this.#options.log.warn({ err: error }, 'metrics of some threads could not be collected: the last ones are shown');
    } finally {
      this.#collecting = undefined;
    }
  }

  #toMetricData(snapshot: MetricSnapshot, endTime: HrTime): sdk.MetricData {
    const { DataPointType, AggregationTemporality } = this.#options.types;
    const common = {
      descriptor: { name: snapshot.name, description: snapshot.help, unit: '', valueType: this.#options.valueType },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
    };
    const times = { startTime: this.#startTime, endTime };
    if (snapshot.kind === 'histogram') {
      const dataPoints = snapshot.series.map(({ labels, counts, sum, count }) => {
        const value = { buckets: { boundaries: [...snapshot.bounds], counts }, sum, count };
        return { ...times, attributes: labels, value };
      });
      return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints };
    }
    const dataPoints = snapshot.series.map(({ labels, value }) => ({ ...times, attributes: labels, value }));
    return snapshot.kind === 'counter'
      ? { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
      : { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
  }
}

function toHrTime(milliseconds: number): HrTime {
  const seconds = Math.floor(milliseconds / 1_000);
  return [seconds, Math.round((milliseconds - seconds * 1_000) * 1e6)];
}
