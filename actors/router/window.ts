// The jobs one router holds: which lane each belongs to, what stands in whose way, which wait for a retry, and what is
// known from sessions that were lost. It decides what may be sent, never when; the phases stand in routed-job.ts.

import { isTerminal, orderKeys } from '../job.ts';
import { bytesOf, type HandedJob } from '../storage/partition-session.ts';
import type { Admission } from './admission.ts';
import { readParameters } from './job-parameters.ts';
import type { Leaving } from './ordering.ts';
import { RetryQueue } from './retry-queue.ts';
import {
  applyEarlier,
  createRoutedJob,
  type JobLane,
  ownPayload,
  type Recorded,
  type RoutedJob,
  type Settled,
} from './routed-job.ts';

export interface WindowOptions {
  admission: Admission;
  nowMs(): number;
  /** A result of an older session, for a job that has come again. */
  record(routed: RoutedJob, settled: Settled): void;
  /** True when a request of an older session is still under way for it: its result will do. */
  adopt(routed: RoutedJob): boolean;
}

/** What left the window. */
export interface Freed {
  jobs: number;
  bytes: number;
}

export class JobWindow {
  readonly #options: WindowOptions;
  readonly #lanes = new Map<string, JobLane>();
  readonly #held = new Map<number, RoutedJob>();
  readonly #retries = new RetryQueue<RoutedJob>();
  /** Results of lost sessions, until their jobs come again or are known to be done. */
  readonly #known = new Map<number, Settled>();

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  get lanes(): Iterable<JobLane> {
    return this.#lanes.values();
  }

  /** When the earliest retry is due; undefined when none waits. */
  get earliestRetryMs(): number | undefined {
    return this.#retries.earliestMs;
  }

  /** Takes jobs in that are not held yet. Returns the lanes to look at. */
  take(handed: readonly HandedJob[]): Set<JobLane> {
    const nowMs = this.#options.nowMs();
    const touched = new Set<JobLane>();
    for (const one of handed) {
      const { jobId, userId } = one.job;
      if (this.#held.has(jobId)) continue;
      const read = readParameters(one.job.parameters, (id) => this.#laneOf(id).requests);
      const lane = this.#laneOf(read.parameters?.destination_id ?? '');
      const { request, problem } = read.request;
      const routed = createRoutedJob(one, { parameters: read.parameters, request, problem }, lane);
      routed.earlier = this.#known.get(jobId);
      this.#known.delete(jobId);
      this.#held.set(jobId, routed);
      const keys = lane.policy.isOrdered ? orderKeys(userId) : [];
      const place = lane.ordering.enter(keys, routed, nowMs);
      routed.place = place;
      if (place.blockedBy === 0) this.#free(routed);
      else for (const { payload } of lane.ordering.relax(place, nowMs)) this.#free(payload);
      touched.add(lane);
    }
    this.#dropKnown(handed.at(-1));
    return touched;
  }

  /** A request ended without a result for this job: one before it in the same request failed. */
  putBack(routed: RoutedJob): void {
    routed.phase = 'blocked';
    if (routed.place?.blockedBy === 0) this.#free(routed);
  }

  /** The job with this id as it is held now. */
  held(jobId: number): RoutedJob | undefined {
    return this.#held.get(jobId);
  }

  /** A result whose job is not held at the moment. */
  remember(jobId: number, settled: Settled): void {
    this.#known.set(jobId, settled);
  }

  /** Results were committed: terminal jobs leave and free what stood behind them, failed ones wait for their time. */
  release(recorded: readonly Recorded[]): { touched: Set<JobLane>; freed: Freed } {
    const touched = new Set<JobLane>();
    const freed: Freed = { jobs: 0, bytes: 0 };
    for (const { routed, settled } of recorded) {
      const { job, lane, place } = routed;
      touched.add(lane);
      if (settled.status !== undefined && !isTerminal(settled.status.state)) {
        routed.retryTimeMs = settled.status.retryTimeMs;
        ownPayload(job);
        this.putBack(routed);
        continue;
      }
      freed.jobs += 1;
      freed.bytes += bytesOf(job);
      this.#held.delete(job.jobId);
      if (place === undefined) continue;
      for (const { payload } of lane.ordering.leave(place, leavingOf(routed, settled))) this.#freeIfBlocked(payload);
    }
    return { touched, freed };
  }

  /** Jobs whose retry time has come are ready. */
  releaseDue(nowMs: number): Set<JobLane> {
    const touched = new Set<JobLane>();
    for (let due = this.#retries.takeDue(nowMs); due !== undefined; due = this.#retries.takeDue(nowMs)) {
      // One that was drained while it waited has left already.
      if (due.phase !== 'waiting') continue;
      due.phase = 'ready';
      due.lane.ready.push(due);
      touched.add(due.lane);
    }
    return touched;
  }

  /** The jobs that wait for a retry, in no order. */
  *waiting(): Iterable<RoutedJob> {
    for (const routed of this.#held.values()) if (routed.phase === 'waiting') yield routed;
  }

  /** Lanes nobody needs: they would only take room in the modes that have many. */
  dropIdle(lanes: Iterable<JobLane>): void {
    for (const lane of lanes) if (lane.isIdle && this.#lanes.size > 1) this.#lanes.delete(lane.destinationId);
  }

  /** Until when nothing that is held can be sent; 0 when something can. */
  restUntilMs(): number {
    for (const { ready, inFlight } of this.#lanes.values()) if (ready.length > 0 || inFlight > 0) return 0;
    return this.#retries.earliestMs ?? 0;
  }

  /** The session is gone. Jobs come again; results that may not have been committed are kept for them. */
  forget(uncertain: readonly Recorded[]): void {
    for (const { routed, settled } of uncertain) this.#known.set(routed.job.jobId, settled);
    for (const [jobId, { earlier }] of this.#held) if (earlier !== undefined) this.#known.set(jobId, earlier);
    this.#held.clear();
    this.#retries.clear();
    for (const lane of this.#lanes.values()) lane.reset();
  }

  /** One that was sent together with those before it may be under way or settled: then its own end decides. */
  #freeIfBlocked(routed: RoutedJob): void {
    if (routed.phase === 'blocked') this.#free(routed);
  }

  /** First in line under each of its keys. */
  #free(routed: RoutedJob): void {
    const { earlier } = routed;
    if (earlier !== undefined) {
      applyEarlier(routed, earlier);
      routed.phase = 'settled';
      this.#options.record(routed, earlier);
    } else if (this.#options.adopt(routed)) routed.phase = 'sending';
    else if (routed.retryTimeMs > this.#options.nowMs()) {
      routed.phase = 'waiting';
      this.#retries.add(routed);
    } else {
      routed.phase = 'ready';
      routed.lane.ready.push(routed);
    }
  }

  /** Jobs of older sessions come first, all in id order: what a fresh hand-out has passed by is done. */
  #dropKnown(last: HandedJob | undefined): void {
    if (last === undefined || last.again || this.#known.size === 0) return;
    for (const jobId of this.#known.keys()) if (jobId < last.job.jobId) this.#known.delete(jobId);
  }

  #laneOf(destinationId: string): JobLane {
    let lane = this.#lanes.get(destinationId);
    if (lane === undefined) {
      lane = this.#options.admission.newLane(destinationId);
      this.#lanes.set(destinationId, lane);
    }
    return lane;
  }
}

function leavingOf({ attempts }: RoutedJob, { status }: Settled): Leaving {
  if (status === undefined || status.state === 'succeeded') return 'succeeded';
  return status.state === 'aborted' && attempts > 1 ? 'abortedAfterFailure' : 'otherwise';
}
