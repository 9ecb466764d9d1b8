// Public surface of the runtime layer: what actors/ may use. One line per file.

export * from './actor.ts';
export * from './address.ts';
export * from './config.ts';
export * from './config-load.ts';
export { environmentName } from './config-names.ts';
export { type DeadLetter, type DeadLetterReason, deadLetterChannel } from './dead-letters.ts';
export type { DrainOutcome } from './drain.ts';
export * from './errors.ts';
export { createMetrics, type MetricSnapshot, type ThreadMetrics } from './metrics.ts';
export { createMetricsExport, type MetricsExport, type MetricsExportOptions } from './metrics-export.ts';
export * from './placement.ts';
export * from './rebalance.ts';
export { type RebalancerOptions, rebalancerDefaults } from './rebalancer.ts';
export * from './runtime.ts';
export * from './seams.ts';
export * from './shards.ts';
export { ActorSystem, type ActorSystemOptions } from './system.ts';
export type { SystemStats } from './system-stats.ts';
export * from './telemetry.ts';
export { runThread, type ThreadOptions } from './thread.ts';
export { createTracing, type ThreadTracing, type TracingOptions } from './tracing.ts';
export { seamsOf, VirtualClock, VirtualExecutor, type VirtualSeams, virtualSeams } from './virtual-seams.ts';
export { type ProcessVitals, recordVitals, type ThreadVitals } from './vitals.ts';
