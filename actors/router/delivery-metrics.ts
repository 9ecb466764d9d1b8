// Counts committed attempts, by destination type and outcome: never by anything there are many of.

import type { Counter, Histogram } from '../../runtime/index.ts';
import { destinationTypeLabel } from '../destinations/registry.ts';
import type { Environment } from '../environment.ts';
import type { WorkspaceHolder, WorkspaceIndex } from '../services/workspace.ts';
import type { RoutedJob, Settled } from './routed-job.ts';

export class DeliveryMetrics {
  readonly #workspace: WorkspaceHolder;
  readonly #attempts: Counter;
  readonly #latency: Histogram;
  /** Type labels by destination id, as of `#index`. */
  readonly #types = new Map<string, string>();
  #index: WorkspaceIndex | undefined;

  constructor({ telemetry, workspace }: Environment) {
    const { metrics } = telemetry;
    this.#workspace = workspace;
    this.#attempts = metrics.counter('sluice_router_attempts_total', 'Committed attempts, by what became of the job');
    this.#latency = metrics.histogram('sluice_router_delivery_latency_ms', 'Time from receipt to committed delivery');
  }

  count(routed: RoutedJob, settled: Settled, nowMs: number): void {
    const outcome = settled.status?.state ?? 'succeeded';
    const type = this.#typeOf(routed.lane.destinationId);
    this.#attempts.add(1, { destination_type: type, outcome });
    if (outcome === 'succeeded') this.#latency.record(nowMs - routed.job.receivedAtMs, { destination_type: type });
  }

  #typeOf(destinationId: string): string {
    const index = this.#workspace.current;
    if (index !== this.#index) this.#types.clear();
    this.#index = index;
    let type = this.#types.get(destinationId);
    if (type === undefined) {
      type = destinationTypeLabel(index.destinationById(destinationId));
      this.#types.set(destinationId, type);
    }
    return type;
  }
}
