// Tracking plans of a control plane: the configuration only names them, so their events are asked for before a source is
// published. A version never changes and is asked for once. A plan that cannot be had checks nothing until it can: events
// are not held up for it, and the status says so.

import type { ControlPlane } from './control-plane.ts';
import { ServiceError } from './service-client.ts';
import type { SourceConfig, TrackingPlanConfig } from './workspace.ts';

interface Wanted {
  workspaceId: string;
  plan: TrackingPlanConfig;
  reason: string;
}

export class TrackingPlans {
  readonly #controlPlane: Pick<ControlPlane, 'fetchTrackingPlan'>;
  /** By workspace, plan and version. */
  readonly #known = new Map<string, unknown[]>();
  /** Those that could not be had. */
  #wanted = new Map<string, Wanted>();

  constructor(controlPlane: Pick<ControlPlane, 'fetchTrackingPlan'>) {
    this.#controlPlane = controlPlane;
  }

  /** What is not checked, one text for each plan. */
  get missing(): string[] {
    return [...this.#wanted.values()].map(
      ({ plan, reason }) => `events are not checked by tracking plan ${plan.id}: ${reason}`,
    );
  }

  /** Gives plans without events theirs, in the sources themselves: they are not published yet. */
  async fill(sources: readonly SourceConfig[]): Promise<void> {
    const asked = new Map<string, unknown[] | string>();
    for (const { workspaceId, trackingPlan: plan } of sources) {
      if (plan === undefined || plan.events !== undefined) continue;
      const key = JSON.stringify([workspaceId, plan.id, plan.version]);
      const found = asked.get(key) ?? this.#known.get(key) ?? (await this.#fetch(workspaceId, plan));
      asked.set(key, found);
      if (typeof found === 'string') {
        this.#wanted.set(key, { workspaceId, plan, reason: found });
        continue;
      }
      this.#wanted.delete(key);
      plan.events = found;
      // Without a version it may be another one next time.
      if (plan.version === '') this.#known.delete(key);
      else this.#known.set(key, found);
    }
  }

  /** Asks again for what could not be had. True: some of it is there now, and sources that want it are to be filled. */
  async retry(): Promise<boolean> {
    let isThere = false;
    for (const [key, { workspaceId, plan }] of this.#wanted) {
      const found = await this.#fetch(workspaceId, plan);
      if (typeof found === 'string') continue;
      this.#known.set(key, found);
      isThere = true;
    }
    if (isThere) this.#wanted = new Map();
    return isThere;
  }

  /** A text: why not. */
  async #fetch(workspaceId: string, { id, version }: TrackingPlanConfig): Promise<unknown[] | string> {
    try {
      const events = eventsOf(await this.#controlPlane.fetchTrackingPlan(workspaceId, id, version));
      return events ?? 'expected a list of events, got something else';
    } catch (error) {
      if (error instanceof ServiceError) return error.message;
      throw error;
    }
  }
}

/** `events`, or as it was once, `rules.events`. */
function eventsOf(body: Buffer): unknown[] | undefined {
  try {
    const plan: unknown = JSON.parse(body.toString('utf8'));
    const own = memberOf(plan, 'events') ?? memberOf(memberOf(plan, 'rules'), 'events');
    return Array.isArray(own) ? own : undefined;
  } catch {
    return undefined;
  }
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
