// What the hand-off tells about its partitions: by queue for the status, the metrics and the ledger's check.

import type { QueueName } from '../job.ts';
import type { QueueStats } from './contract.ts';
import { readReceivedAt } from './job-row.ts';
import type { Partition } from './partition.ts';

export type PartitionsByQueue = ReadonlyMap<QueueName, ReadonlyMap<string, Partition>>;

export function queueStats(queues: PartitionsByQueue, nowMs: number): QueueStats[] {
  return [...queues].map(([queue, partitions]) => {
    const rows = [...partitions.values()];
    const ages = rows.filter((one) => one.pending > 0).map((one) => nowMs - oldestReceivedAt(one, nowMs));
    return {
      queue,
      pending: rows.reduce((sum, one) => sum + one.pending, 0),
      pendingBytes: Math.round(rows.reduce((sum, one) => sum + one.pendingBytes, 0)),
      oldestAgeMs: ages.reduce((oldest, age) => Math.max(oldest, age), 0),
      partitionsTotal: rows.length,
      partitions: rows.map((one) => ({
        partition: one.key,
        pending: one.pending,
        handedOut: one.outstanding.size,
        behind: one.behind,
        open: one.session !== 0,
      })),
    };
  });
}

/** Unfinished jobs of a queue. */
export function pendingOf(queues: PartitionsByQueue, queue: QueueName): number {
  let sum = 0;
  for (const partition of queues.get(queue)?.values() ?? []) sum += partition.pending;
  return sum;
}

function oldestReceivedAt(partition: Partition, fallback: number): number {
  for (const job of partition.outstanding.values()) return job.receivedAtMs;
  const first = partition.tail[0];
  return first === undefined ? fallback : readReceivedAt(first.source, first.start);
}
