// Gauges every thread sets about itself just before its snapshot is taken. The readings come from the caller, because
// only entry points may touch the process.

import type { Metrics } from './telemetry.ts';

export interface ThreadVitals {
  heapUsedBytes: number;
  heapTotalBytes: number;
  /** Memory of buffers, outside the heap. */
  externalBytes: number;
  /** Busy share of the event loop since the last reading, 0..1. */
  eventLoopUtilization: number;
}

export interface ProcessVitals {
  residentBytes: number;
  /** Seconds since the epoch. */
  startedAtSeconds: number;
}

/** `processVitals` is for main only: they are the same in every thread. */
export function recordVitals(metrics: Metrics, vitals: ThreadVitals, processVitals?: ProcessVitals): void {
  metrics.gauge('sluice_thread_heap_used_bytes', 'JavaScript heap in use').set(vitals.heapUsedBytes);
  metrics.gauge('sluice_thread_heap_total_bytes', 'JavaScript heap reserved').set(vitals.heapTotalBytes);
  metrics.gauge('sluice_thread_external_bytes', 'Memory of buffers outside the heap').set(vitals.externalBytes);
  metrics
    .gauge('sluice_thread_event_loop_utilization_ratio', 'Busy share of the event loop since the last scrape')
    .set(vitals.eventLoopUtilization);
  if (processVitals === undefined) return;
  metrics.gauge('process_resident_memory_bytes', 'Resident memory').set(processVitals.residentBytes);
  metrics
    .gauge('process_start_time_seconds', 'Start of the process since the epoch')
    .set(processVitals.startedAtSeconds);
}
