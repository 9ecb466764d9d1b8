// Chooses what a lane sends next: jobs in the order in which they became ready, one to a request, or many where the
// destination takes them together. A request that is not full goes at once while nothing else is under way, and
// otherwise waits for what is: no timer decides when all is well. One timer bounds the wait when it is not.

import type { Admission } from './admission.ts';
import type { Batching, Sendable } from './batching.ts';
import type { JobLane, RoutedJob, Settled } from './routed-job.ts';

export interface DispatchOptions {
  admission: Admission;
  nowMs(): number;
  /** Sends these jobs in one request. */
  send(lane: JobLane, jobs: RoutedJob[]): void;
  record(routed: RoutedJob, settled: Settled): void;
  /** A request of an older session is still under way for it. */
  isUnderWay(routed: RoutedJob): boolean;
}

/** Ready jobs looked through for those that fit a request, as a multiple of what it holds. */
const lookedThrough = 4;

export class Dispatch {
  readonly #options: DispatchOptions;

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /** Sends what may be sent. Returns when held jobs are to be looked at again; Infinity: when something ends. */
  pump(lane: JobLane): number {
    const { admission, nowMs, record } = this.#options;
    const now = nowMs();
    admission.refresh(lane);
    const { requestsInFlightMax, bytesInFlightMax, batch } = lane.policy;
    let heldUntilMs = Number.POSITIVE_INFINITY;
    let at = 0;
    while (lane.inFlight < requestsInFlightMax && (lane.inFlight === 0 || lane.bytesInFlight < bytesInFlightMax)) {
      const routed = lane.ready.at(at);
      if (routed === undefined) break;
      const drained = admission.drained(routed, now);
      if (drained !== undefined) {
        lane.ready.removeAt(at);
        record(routed, drained);
        continue;
      }
      const fillUntilMs = batch === undefined ? 0 : fillUntil(lane, batch, now);
      if (fillUntilMs > 0) return Math.min(heldUntilMs, fillUntilMs);
      const waitUntilMs = admission.waitUntilMs(lane, routed, now);
      if (waitUntilMs > 0) {
        heldUntilMs = Math.min(heldUntilMs, waitUntilMs);
        at += 1;
        if (admission.isPerJob(lane)) continue;
        this.#drainHeld(lane, now);
        break;
      }
      lane.ready.removeAt(at);
      if (batch === undefined || lane.breaker.openedAtMs !== 0) this.#options.send(lane, [routed]);
      else this.#options.send(lane, this.#fill(lane, routed, batch, now));
    }
    return heldUntilMs;
  }

  /** What is to be given up does not wait until the rest may be sent. */
  #drainHeld(lane: JobLane, nowMs: number): void {
    const { admission, record } = this.#options;
    lane.ready.filter((routed) => {
      const drained = admission.drained(routed, nowMs);
      if (drained !== undefined) record(routed, drained);
      return drained === undefined;
    });
  }

  /** The first job, then others that are ready, then those that stand right behind one of them; in id order. */
  #fill(lane: JobLane, first: RoutedJob, batch: Batching, nowMs: number): RoutedJob[] {
    const members = [first];
    const key = first.mustBeAlone ? undefined : keyOf(first, batch);
    if (key === undefined || first.request === undefined) return members;
    const { bytesMax } = batch;
    const eventsMax = batch.limitOf(first.request);
    const inside = new Set<RoutedJob>(members);
    let bytes = first.job.payload.byteLength;
    const fits = (routed: RoutedJob): boolean =>
      bytes + routed.job.payload.byteLength <= bytesMax &&
      !routed.mustBeAlone &&
      keyOf(routed, batch) === key &&
      this.#options.admission.drained(routed, nowMs) === undefined;
    const admits = (routed: RoutedJob): boolean => {
      if (this.#options.admission.waitUntilMs(lane, routed, nowMs) > 0) return false;
      members.push(routed);
      inside.add(routed);
      bytes += routed.job.payload.byteLength;
      return true;
    };
    for (let at = 0, looks = eventsMax * lookedThrough; members.length < eventsMax && looks > 0; looks -= 1) {
      const routed = lane.ready.at(at);
      if (routed === undefined) break;
      if (!fits(routed)) at += 1;
      else if (admits(routed)) lane.ready.removeAt(at);
      else break;
    }
    const isMember = ({ payload }: { payload: RoutedJob }): boolean => inside.has(payload);
    // Grows while it is walked: behind a follower stands the next one.
    for (const { place } of members) {
      if (place === undefined || members.length >= eventsMax) break;
      for (const { payload } of lane.ordering.followers(place, isMember)) {
        const isFull = members.length >= eventsMax;
        if (isFull || !this.#canFollow(payload, nowMs) || !fits(payload) || !admits(payload)) break;
      }
    }
    return members.sort((a, b) => a.job.jobId - b.job.jobId);
  }

  #canFollow(routed: RoutedJob, nowMs: number): boolean {
    const { phase, retryTimeMs, earlier } = routed;
    return phase === 'blocked' && retryTimeMs <= nowMs && earlier === undefined && !this.#options.isUnderWay(routed);
  }
}

function keyOf({ request, job }: RoutedJob, batch: Batching): ReturnType<Batching['keyOf']> {
  return request === undefined ? undefined : batch.keyOf({ request, body: job.payload } satisfies Sendable);
}

/** 0: send what there is. Otherwise until when it may wait for more. */
function fillUntil(lane: JobLane, { eventsMax, ageMsMax }: Batching, nowMs: number): number {
  if (lane.inFlight === 0 || lane.ready.length >= eventsMax) {
    lane.partialSinceMs = 0;
    return 0;
  }
  if (lane.partialSinceMs === 0) lane.partialSinceMs = nowMs;
  const untilMs = lane.partialSinceMs + ageMsMax;
  if (untilMs > nowMs) return untilMs;
  lane.partialSinceMs = 0;
  return 0;
}
