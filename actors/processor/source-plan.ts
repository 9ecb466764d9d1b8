// What a source's configuration means for its events, worked out once per configuration change: the stages it uses, its
// destinations, and who looks on.

import type { SourceConfig } from '../services/workspace.ts';
import type { RouteTable } from './routes.ts';
import type { SourcePlan, StageFactory, TapFactory } from './stage.ts';

export interface PlanParts {
  readonly routes: RouteTable;
  /** In the order in which events go through them. */
  readonly stages: readonly StageFactory[];
  readonly taps: readonly TapFactory[];
}

/** A snapshot's objects are never changed, so they can be keys; old ones go with their snapshot. */
export class SourcePlans {
  readonly #parts: PlanParts;
  readonly #plans = new WeakMap<SourceConfig, SourcePlan>();

  constructor(parts: PlanParts) {
    this.#parts = parts;
  }

  of(source: SourceConfig): SourcePlan {
    let plan = this.#plans.get(source);
    if (plan === undefined) {
      const { routes, stages, taps } = this.#parts;
      const own = routes.routesOf(source);
      plan = {
        source,
        stages: stages.map((make) => make(source)).filter(isUsed),
        routes: own,
        taps: taps.map((make) => make(source)).filter(isUsed),
        isHydrated: source.hydration !== undefined,
        isTransforming: own.some(({ transformation }) => transformation !== undefined),
      };
      this.#plans.set(source, plan);
    }
    return plan;
  }
}

function isUsed<T>(value: T | undefined): value is T {
  return value !== undefined;
}
