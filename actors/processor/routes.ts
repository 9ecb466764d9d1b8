// What a source's configuration means for its events, worked out once per configuration change: for every destination
// its filter, its transform, its partition, and the part of the job's parameters that is the same for every event.

import type { CompiledDestination } from '../destinations/destination.ts';
import { compileDestination } from '../destinations/registry.ts';
import { type RouterIsolation, routerPartition } from '../isolation.ts';
import type { SourceConfig } from '../services/workspace.ts';
import { type CompiledFilter, compileFilter } from './destination-filter.ts';

export interface Route {
  readonly destinationId: string;
  readonly filter: CompiledFilter;
  readonly destination: CompiledDestination;
  readonly partition: string;
  /** RouterParameters as JSON, open at the end: `{"source_id":…,"destination_id":…,"workspace_id":…`. */
  readonly parametersPrefix: string;
}

/** A snapshot's objects are never changed, so they can be keys; old ones go with their snapshot. */
export class RouteTable {
  readonly #isolation: RouterIsolation;
  readonly #routes = new WeakMap<SourceConfig, readonly Route[]>();

  constructor(isolation: RouterIsolation) {
    this.#isolation = isolation;
  }

  routesOf(source: SourceConfig): readonly Route[] {
    let routes = this.#routes.get(source);
    if (routes === undefined) {
      routes = source.destinations.map((destination): Route => {
        const ids = { source_id: source.id, destination_id: destination.id, workspace_id: source.workspaceId };
        return {
          destinationId: destination.id,
          filter: compileFilter(destination),
          destination: compileDestination(destination),
          partition: routerPartition(this.#isolation, source.workspaceId, destination.id),
          parametersPrefix: JSON.stringify(ids).slice(0, -1),
        };
      });
      this.#routes.set(source, routes);
    }
    return routes;
  }
}
