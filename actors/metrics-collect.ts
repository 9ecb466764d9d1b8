// Before a scrape: fetches what every thread counted, adds what only main knows, and publishes all of it.

import type { MetricSnapshot, MetricsExport, Runtime, ThreadMetrics } from '../runtime/index.ts';
import { recordRuntime, runtimeCounters, threadRestarts } from './metrics-runtime.ts';
import { pendingEvents, pendingMetric } from './pending-events.ts';
import type { WorkspaceHolder } from './services/workspace.ts';
import type { LeaseStats, StorageStats } from './storage/contract.ts';
import type { StorageLanes } from './storage-lanes.ts';

export interface MetricsCollectOptions {
  runtime: Runtime;
  storage: StorageLanes;
  workspace: WorkspaceHolder;
  /** Main's own. */
  metrics: ThreadMetrics;
  /** Vitals of main and the process; called right before its snapshot. */
  recordOwnVitals(): void;
}

/** Never takes longer than the answers of threads and storage may (their own deadlines). */
export async function collectMetrics(
  options: MetricsCollectOptions,
  target: Pick<MetricsExport, 'publish'>,
): Promise<void> {
  const { runtime, storage, metrics } = options;
  const [threads, stored, lease] = await Promise.all([
    runtime.stats(),
    storage.stats().catch((): StorageStats | undefined => undefined),
    storage.lease().catch((): LeaseStats | undefined => undefined),
  ]);
  for (const thread of threads.threads) {
    if (!Array.isArray(thread.collected)) continue;
    const snapshots = [...(thread.collected as MetricSnapshot[]), ...runtimeCounters(thread)];
    target.publish(`${thread.role}-${thread.threadId}`, snapshots, thread.restarts);
  }
  recordRuntime(metrics, threads);
  if (stored !== undefined) recordStorage(metrics, stored);
  if (lease !== undefined) recordLease(metrics, lease);
  options.recordOwnVitals();
  const own = threads.threads.filter(({ role }) => role === 'main').flatMap(runtimeCounters);
  const pending = pendingMetric(pendingEvents(stored?.ledger ?? [], options.workspace.current));
  target.publish('main', [...metrics.snapshot(), ...own, threadRestarts(threads), pending]);
}

function recordLease(metrics: ThreadMetrics, { lanes, members, unowned }: LeaseStats): void {
  const owned = lanes.filter(({ state }) => state === 'owner').length;
  metrics.gauge('sluice_lanes_owned', 'Storage lanes that this process owns').set(owned);
  metrics.gauge('sluice_lanes_standby', 'Storage lanes that another process may own').set(lanes.length - owned);
  metrics.gauge('sluice_lanes_unowned', 'Storage lanes that nobody has owned for a while').set(unowned);
  metrics.gauge('sluice_lease_members', 'Processes that share the storage lanes').set(members);
}

function recordStorage(metrics: ThreadMetrics, stats: StorageStats): void {
  const pending = metrics.gauge('sluice_queue_pending_jobs', 'Unfinished jobs by queue');
  const oldest = metrics.gauge('sluice_queue_oldest_age_seconds', 'Age of the oldest unfinished job by queue');
  const partitions = metrics.gauge('sluice_queue_partitions', 'Partitions with jobs or a consumer, by queue');
  for (const queue of stats.queues) {
    pending.set(queue.pending, { queue: queue.queue });
    oldest.set(queue.oldestAgeMs / 1000, { queue: queue.queue });
    partitions.set(queue.partitionsTotal, { queue: queue.queue });
  }
  const ledger = metrics.gauge('sluice_ledger_events', 'Ledger sums since the beginning, by counter');
  const sums = new Map<string, number>();
  for (const { kind, count } of stats.ledger) sums.set(kind, (sums.get(kind) ?? 0) + count);
  for (const [kind, count] of sums) ledger.set(count, { kind });
}
