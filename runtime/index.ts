// Public surface of the runtime layer: what actors/ may use. One line per file.

export * from './actor.ts';
export * from './config.ts';
export * from './config-load.ts';
export { createMetrics, type MetricSnapshot, type ThreadMetrics } from './metrics.ts';
export { createMetricsExport, type MetricsExport, type MetricsExportOptions } from './metrics-export.ts';
export * from './seams.ts';
export * from './telemetry.ts';
export { createTracing, type ThreadTracing, type TracingOptions } from './tracing.ts';
export { type ProcessVitals, recordVitals, type ThreadVitals } from './vitals.ts';
