// Which destinations get nothing because of what they are configured to be: a type that nobody wrote or nothing delivers
// to, or settings that cannot work. Known from the moment the configuration is there, and shown until it is mended.

import type { DestinationState } from './admin/contract.ts';
import { refusedDestinations } from './destinations/registry.ts';
import type { SourceConfig } from './services/workspace.ts';
import type { TransformerChoice } from './transformer/contract.ts';

interface Change {
  /** New and changed ones. */
  sources: readonly SourceConfig[];
  removedSourceIds: readonly string[];
}

export class RefusedDestinations {
  readonly #transformer: TransformerChoice;
  readonly #bySource = new Map<string, DestinationState[]>();

  constructor(transformer: TransformerChoice) {
    this.#transformer = transformer;
  }

  /** All of a configuration. Returns what to tell about it, as `apply` does. */
  replace(sources: readonly SourceConfig[], nowMs: number): string[] {
    this.#bySource.clear();
    return this.apply({ sources, removedSourceIds: [] }, nowMs);
  }

  apply({ sources, removedSourceIds }: Change, nowMs: number): string[] {
    const told = new Set<string>();
    for (const sourceId of removedSourceIds) this.#bySource.delete(sourceId);
    for (const source of sources) {
      const refused = refusedDestinations(source, this.#transformer);
      this.#bySource.delete(source.id);
      if (refused.length > 0) this.#bySource.set(source.id, refused.map(stateAt(nowMs)));
      for (const { destinationId, problem } of refused)
        told.add(`every event for destination ${destinationId} will be aborted: ${problem}`);
    }
    return [...told];
  }

  /** Each once, whatever number of sources it has. */
  list(): DestinationState[] {
    const byId = new Map<string, DestinationState>();
    for (const states of this.#bySource.values()) {
      for (const state of states) if (!byId.has(state.destinationId)) byId.set(state.destinationId, state);
    }
    return [...byId.values()];
  }
}

function stateAt(nowMs: number) {
  return ({ destinationId, problem }: { destinationId: string; problem: string }): DestinationState => ({
    destinationId,
    state: 'refused',
    reason: problem,
    sinceAtMs: nowMs,
  });
}
