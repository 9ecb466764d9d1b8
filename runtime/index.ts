// Public surface of the runtime layer: what actors/ may use. One line per file.

export * from './config.ts';
export * from './config-load.ts';
export * from './actor.ts';
export * from './telemetry.ts';
export { createMetrics, type MetricSnapshot, type ThreadMetrics } from './metrics.ts';
