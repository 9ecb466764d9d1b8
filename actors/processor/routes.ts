// What a source's configuration means for its events, worked out once per configuration change: for every destination
// its filter, its transform, its partition, and the part of the job's parameters that is the same for every event.

import type { Shards } from '../../runtime/index.ts';
import type { Settings } from '../config.ts';
import type { CompiledDestination } from '../destinations/destination.ts';
import { compileDestination } from '../destinations/registry.ts';
import { routerPartition, Splits } from '../isolation.ts';
import type { SourceConfig } from '../services/workspace.ts';
import { noTransformer, type TransformerChoice } from '../transformer/contract.ts';
import { type CompiledFilter, compileFilter } from './destination-filter.ts';
import {
  noRemoteTransformations,
  type RemoteTransformations,
  type RouteTransformation,
  routeTransformation,
} from './route-transformation.ts';

export interface Route {
  readonly destinationId: string;
  readonly filter: CompiledFilter;
  readonly destination: CompiledDestination;
  /** Customers' code that events go through first. */
  readonly transformation: RouteTransformation | undefined;
  /** Where the router has its jobs. */
  readonly shards: Shards;
  /** RouterParameters as JSON, open at the end: `{"source_id":…,"destination_id":…,"workspace_id":…`. */
  readonly parametersPrefix: string;
}

/** A snapshot's objects are never changed, so they can be keys; old ones go with their snapshot. */
export class RouteTable {
  readonly #isolation: Settings['router']['isolation'];
  readonly #splits: Splits;
  readonly #transformer: TransformerChoice & RemoteTransformations;
  readonly #routes = new WeakMap<SourceConfig, readonly Route[]>();

  constructor(
    { isolation, shards }: Pick<Settings['router'], 'isolation' | 'shards'>,
    transformer: TransformerChoice & RemoteTransformations = { ...noTransformer, ...noRemoteTransformations },
  ) {
    this.#transformer = transformer;
    this.#isolation = isolation;
    this.#splits = new Splits(shards);
  }

  routesOf(source: SourceConfig): readonly Route[] {
    let routes = this.#routes.get(source);
    if (routes === undefined) {
      routes = source.destinations.map((destination): Route => {
        const ids = { source_id: source.id, destination_id: destination.id, workspace_id: source.workspaceId };
        return {
          destinationId: destination.id,
          filter: compileFilter(destination, source.sourceDefinition.type),
          destination: compileDestination(destination, this.#transformer),
          transformation: routeTransformation(source, destination, this.#transformer),
          shards: this.#splits.shardsOf(routerPartition(this.#isolation, source.workspaceId, destination.id)),
          parametersPrefix: JSON.stringify(ids).slice(0, -1),
        };
      });
      this.#routes.set(source, routes);
    }
    return routes;
  }
}
