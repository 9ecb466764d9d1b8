// May this job be sent now? What an operator decided, what the breaker knows and what the throttle allows, asked in
// that order, because only the last one takes note of the asking. What may not be sent waits where it is. Also keeps
// each lane's policy the one of the destination's newest configuration.

import type { ActorLog } from '../../runtime/index.ts';
import type { Environment } from '../environment.ts';
import type { WorkspaceIndex } from '../services/workspace.ts';
import { Breaker, type BreakerMemory, type BreakerPolicy, breakerPolicyOf } from './breaker.ts';
import { Lane } from './lane.ts';
import { type LanePolicy, lanePolicyOf } from './lane-policy.ts';
import { drainedFor, type JobLane, type RoutedJob, type Settled } from './routed-job.ts';
import { Throttle } from './throttle.ts';

/** A paused destination is looked at this often: how soon its jobs go on after it was resumed. */
const pausedLookMs = 1_000;
const unsendableCode = 400;

export class Admission {
  readonly #breaker: BreakerPolicy;
  readonly #environment: Environment;
  readonly #shares: number;
  readonly #breakers: BreakerMemory;
  readonly #log: ActorLog;
  readonly #policies = new WeakMap<JobLane, WorkspaceIndex>();

  /** `shares`: how many actors send to one destination. */
  constructor(environment: Environment, shares: number, breakers: BreakerMemory, log: ActorLog) {
    this.#breakers = breakers;
    this.#log = log;
    this.#breaker = breakerPolicyOf(environment.settings);
    this.#environment = environment;
    this.#shares = shares;
  }

  newLane(destinationId: string): JobLane {
    const lane = new Lane<RoutedJob>(
      destinationId,
      this.#breakers.take(destinationId) ?? new Breaker(this.#breaker),
      this.#policyOf(destinationId),
    );
    this.#policies.set(lane, this.#environment.workspace.current);
    return lane;
  }

  /** Before a lane is looked at: takes over what was configured anew. */
  refresh(lane: JobLane): void {
    const { current } = this.#environment.workspace;
    if (this.#policies.get(lane) === current) return;
    this.#policies.set(lane, current);
    if (lane.policy.destination === current.destinationById(lane.destinationId)) return;
    lane.policy = this.#policyOf(lane.destinationId);
    if (lane.throttle?.isBy(lane.policy.throttle) !== true) lane.throttle = undefined;
  }

  /** What is to be recorded about a job that is given up without being sent; undefined when it is to be sent. */
  drained(routed: RoutedJob, nowMs: number): Settled | undefined {
    const { parameters, problem, lane, job } = routed;
    if (parameters === undefined) return drainedFor(problem, routed, nowMs);
    const { destination, jobAgeMsMax } = lane.policy;
    if (destination === undefined) return drainedFor('destination is not available in the config', routed, nowMs);
    if (!destination.enabled) return drainedFor('destination is disabled', routed, nowMs);
    if (jobAgeMsMax > 0 && nowMs - job.receivedAtMs > jobAgeMsMax) return drainedFor('job expired', routed, nowMs);
    const { controls } = this.#environment;
    if (controls.isDraining) {
      const reason = controls.drainReason({
        destinationId: lane.destinationId,
        sourceId: parameters.source_id,
        jobRunId: parameters.source_job_run_id ?? '',
        receivedAtMs: job.receivedAtMs,
        jobId: job.jobId,
      });
      if (reason !== undefined) return drainedFor(reason, routed, nowMs);
    }
    return routed.request === undefined ? drainedFor(problem, routed, nowMs, unsendableCode) : undefined;
  }

  /**
   * 0: send it, the throttle has counted it. Otherwise when to ask again; Infinity: when a probe that is on its way
   * has ended.
   */
  waitUntilMs(lane: JobLane, { parameters }: RoutedJob, nowMs: number): number {
    const { controls } = this.#environment;
    if (controls.isPaused(lane.destinationId)) return nowMs + pausedLookMs;
    const waitUntilMs = lane.breaker.waitUntilMs(nowMs);
    if (waitUntilMs > 0) return waitUntilMs;
    if (lane.policy.throttle.limit === 0) return 0;
    lane.throttle ??= new Throttle(lane.policy.throttle);
    return lane.throttle.waitUntilMs(parameters?.event_type ?? '', nowMs);
  }

  /** Whether another job of this lane may be sent although one may not. */
  isPerJob(lane: JobLane): boolean {
    return lane.policy.throttle.perEventType;
  }

  #policyOf(destinationId: string): LanePolicy {
    const { settings, workspace } = this.#environment;
    const policy = lanePolicyOf(settings, workspace.current.destinationById(destinationId), this.#shares);
    const { problems } = policy;
    if (problems.length > 0) {
      this.#log.warn({ destinationId, problems }, 'a part of the destination’s configuration does not count');
    }
    return policy;
  }
}
