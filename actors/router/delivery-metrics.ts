// Counts committed attempts, by destination type and outcome: never by anything there are many of.

import type { Counter, Histogram } from '../../runtime/index.ts';
import { destinationTypeLabel } from '../destinations/registry.ts';
import type { Environment } from '../environment.ts';
import type { WorkspaceHolder, WorkspaceIndex } from '../services/workspace.ts';
import type { Recorded } from './routed-job.ts';

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

  /** What was committed together mostly ended the same way: it is counted in as many steps as it has kinds in a row. */
  count(recorded: readonly Recorded[], nowMs: number): void {
    let labels = { destination_type: '', outcome: '' };
    let destinationId: string | undefined;
    let attempts = 0;
    for (const { routed, settled } of recorded) {
      const outcome = settled.status?.state ?? 'succeeded';
      if (routed.lane.destinationId !== destinationId || outcome !== labels.outcome) {
        if (attempts > 0) this.#attempts.add(attempts, labels);
        destinationId = routed.lane.destinationId;
        labels = { destination_type: this.#typeOf(destinationId), outcome };
        attempts = 0;
      }
      attempts += 1;
      if (outcome !== 'succeeded') continue;
      const { destination_type } = labels;
      this.#latency.record(nowMs - routed.job.receivedAtMs, { destination_type });
    }
    if (attempts > 0) this.#attempts.add(attempts, labels);
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
