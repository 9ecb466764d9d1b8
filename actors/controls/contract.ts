// What an operator decided about deliveries: destinations that are paused, and pending jobs that are to be given up.
// Plain data, kept in the database by main (controls.ts) and broadcast to every thread, where routers look at it before
// they send.

export const controlsTopic = 'controls';

/** Nothing is sent to this destination until it is resumed; its jobs wait, none is lost or counted as failed. */
export interface PausedDestination {
  destinationId: string;
  reason: string;
  sinceMs: number;
}

/** Pending jobs that match every field that is not '' or 0 are aborted with `reason` instead of being sent. */
export interface DrainRule {
  id: number;
  destinationId: string;
  sourceId: string;
  jobRunId: string;
  /** One job by its id; 0: any. A user whose events wait behind it is released by this. */
  jobId: number;
  /** Events received before this epoch millisecond; 0: all. */
  receivedBeforeMs: number;
  reason: string;
  sinceMs: number;
}

export interface Controls {
  paused: readonly PausedDestination[];
  drains: readonly DrainRule[];
}

/** What a drain rule looks at. */
export interface DrainedJob {
  jobId: number;
  destinationId: string;
  sourceId: string;
  jobRunId: string;
  receivedAtMs: number;
}

/** What a test event met. */
export interface TestResult {
  sent: boolean;
  /** HTTP status or internal code of the answer. */
  code: number;
  answer: string;
  elapsedMs: number;
}

/** The newest controls of this thread. */
export class ControlsHolder {
  #paused: ReadonlyMap<string, PausedDestination> = new Map();
  #drains: readonly DrainRule[] = [];
  readonly #followers = new Set<() => void>();

  get current(): Controls {
    return { paused: [...this.#paused.values()], drains: this.#drains };
  }

  publish({ paused, drains }: Controls): void {
    this.#paused = new Map(paused.map((one) => [one.destinationId, one]));
    this.#drains = drains;
    for (const follower of this.#followers) follower();
  }

  /** Called after every change, until the returned function is called. */
  follow(follower: () => void): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  get isDraining(): boolean {
    return this.#drains.length > 0;
  }

  get hasDrains(): boolean {
    return this.#drains.length > 0;
  }

  isPaused(destinationId: string): boolean {
    return this.#paused.has(destinationId);
  }

  /** Why the job is to be given up; undefined when it is not. */
  drainReason(job: DrainedJob): string | undefined {
    return this.#drains.find((rule) => matches(rule, job))?.reason;
  }
}

export function matches(rule: DrainRule, job: DrainedJob): boolean {
  return (
    (rule.destinationId === '' || rule.destinationId === job.destinationId) &&
    (rule.sourceId === '' || rule.sourceId === job.sourceId) &&
    (rule.jobRunId === '' || rule.jobRunId === job.jobRunId) &&
    (rule.jobId === 0 || rule.jobId === job.jobId) &&
    (rule.receivedBeforeMs === 0 || job.receivedAtMs < rule.receivedBeforeMs)
  );
}
