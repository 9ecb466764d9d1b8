// How many events wait before each stage, by workspace and destination: what came in less what went out, straight from
// the ledger's sums. They are exact at every moment, also right after a start, and cost no look at any job.

import type { MetricSnapshot } from '../runtime/index.ts';
import type { PendingEvents } from './admin/contract.ts';
import { destinationTypeLabel } from './destinations/registry.ts';
import type { WorkspaceIndex } from './services/workspace.ts';
import type { StorageStats } from './storage/contract.ts';
import { ledgerSides } from './storage/ledger-balance.ts';

/** Series of the metric; those with most waiting events have one of their own, the rest is added up. */
const seriesMax = 100;
const other = 'other';

/** Most first; where nothing waits is left out. */
export function pendingEvents(ledger: StorageStats['ledger'], workspace: WorkspaceIndex): PendingEvents[] {
  const byPlace = new Map<string, { sourceId: string; destinationId: string; pending: number }>();
  for (const { sourceId, destinationId, kind, count } of ledger) {
    // Behind the processor a destination is one place, whatever sources its events are from.
    const key = destinationId === '' ? `s${sourceId}` : `d${destinationId}`;
    const place = byPlace.get(key) ?? { sourceId, destinationId, pending: 0 };
    place.pending += ledgerSides[kind] === 'in' ? count : -count;
    byPlace.set(key, place);
  }
  const found: PendingEvents[] = [];
  for (const { sourceId, destinationId, pending } of byPlace.values()) {
    if (pending === 0) continue;
    const destination = workspace.destinationById(destinationId);
    const workspaceId = destination?.workspaceId ?? workspace.sourceById(sourceId)?.workspaceId ?? '';
    const isAtSource = destinationId === '';
    found.push({
      stage: isAtSource ? 'processor' : 'router',
      workspaceId,
      sourceId: isAtSource ? sourceId : '',
      destinationId,
      destinationType: isAtSource ? '' : destinationTypeLabel(destination),
      pending,
    });
  }
  return found.sort((a, b) => b.pending - a.pending);
}

/** Of this moment only: a destination for which nothing waits any more has no series. */
export function pendingMetric(pending: readonly PendingEvents[]): MetricSnapshot {
  const series: { labels: Record<string, string>; value: number }[] = [];
  const rest = new Map<string, number>();
  for (const { stage, workspaceId, destinationId, destinationType, sourceId, pending: value } of pending) {
    if (series.length < seriesMax) {
      const labels = { stage, workspace: workspaceId, source: sourceId };
      series.push({
        labels: { ...labels, destination: destinationId, destination_type: destinationType },
        value,
      });
    } else rest.set(stage, (rest.get(stage) ?? 0) + value);
  }
  for (const [stage, value] of rest) {
    const labels = { stage, workspace: other, source: other, destination: other, destination_type: other };
    series.push({ labels, value });
  }
  const help = 'Events that wait before a stage, of the lanes of this process, from the ledger';
  return { kind: 'gauge', name: 'sluice_pending_events', help, series };
}
