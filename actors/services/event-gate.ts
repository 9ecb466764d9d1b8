// What the services have to say about the events of a request before they are stored: which of them belong to suppressed
// users, and whether their sender is over his limit. One call for each request, from memory, without a promise.

import type { RateLimiter, RateRefusal } from './rate-limiter.ts';
import type { SuppressedUsers, SuppressionVerdict } from './suppressed-users.ts';
import type { SourceConfig } from './workspace.ts';

/** The events of one request, as the gateway has read them. */
export interface GatedEvents {
  readonly count: number;
  /** Undefined: the event is refused already. */
  userIdOf(event: number): string | undefined;
  /** Those that are not refused. */
  readonly goodCount: number;
  /** The event is accepted and counted, and not stored; it is no longer among the good ones. */
  suppress(event: number): void;
}

/**
 * Whether a request is part of a job run of reverse ETL. A header claims it, which counts for sources of reverse ETL
 * alone, whose key is no public one; who has shown the admin token as well has proven it. What events say of themselves
 * does not count: anybody could write it.
 */
export type JobRunClaim = 'none' | 'claimed' | 'proven';

export type GateRefusal =
  | ({ kind: 'limited' } & RateRefusal)
  /** It is not known who is suppressed. */
  | { kind: 'unknown' };

export interface EventGateOptions {
  /** Undefined: nobody is. */
  suppressedUsers: SuppressedUsers | undefined;
  rateLimiter: RateLimiter | undefined;
}

/** Source category of reverse ETL. */
const reverseEtl = 'warehouse';

export class EventGate {
  readonly #options: EventGateOptions;

  constructor(options: EventGateOptions) {
    this.#options = options;
  }

  check(source: SourceConfig, events: GatedEvents, jobRun: JobRunClaim): GateRefusal | undefined {
    const { suppressedUsers, rateLimiter } = this.#options;
    const cost = events.goodCount;
    const suppressed = suppressedUsers === undefined ? 0 : this.#suppress(suppressedUsers, source, events);
    if (suppressed < 0) return { kind: 'unknown' };
    // Nothing of the request is left: there is nothing to limit.
    if (rateLimiter === undefined || suppressed === cost) return undefined;
    // Reverse ETL sends large batches and waits for each.
    if (jobRun === 'proven' || (jobRun === 'claimed' && source.sourceDefinition.category === reverseEtl))
      return undefined;
    const refusal = rateLimiter.take(source, cost);
    return refusal === undefined ? undefined : { kind: 'limited', ...refusal };
  }

  /** About one user's events, without a limit: what another gateway has accepted. */
  verdictOf(workspaceId: string, userId: string, sourceId: string): SuppressionVerdict {
    return this.#options.suppressedUsers?.check(workspaceId, userId, sourceId) ?? 'clear';
  }

  /** How many; -1 when it is not known. */
  #suppress(users: SuppressedUsers, source: SourceConfig, events: GatedEvents): number {
    let count = 0;
    // The events of a request are mostly of one user.
    let lastUserId: string | undefined;
    let lastVerdict: SuppressionVerdict = 'clear';
    for (let event = 0; event < events.count; event += 1) {
      const userId = events.userIdOf(event);
      if (userId === undefined) continue;
      if (userId !== lastUserId) {
        lastVerdict = users.check(source.workspaceId, userId, source.id);
        lastUserId = userId;
      }
      if (lastVerdict === 'unknown') return -1;
      if (lastVerdict === 'clear') continue;
      events.suppress(event);
      count += 1;
    }
    return count;
  }
}
