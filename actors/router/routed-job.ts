// One job in a router's window: its phase, what it is to send, and how its attempts become status rows. No I/O and no
// clock.
//
//   phase      what holds                                            left by
//   blocked    another job is first under one of its keys            that one's leaving the barrier
//   ready      first under each of its keys, in its lane's line      being sent, or drained
//   waiting    the same, in the retry queue                          its retry time, or a drain
//   sending    in a request, alone or with others                    the end of the request
//   settled    its result is recorded or being committed             the commit: gone when terminal, else waiting
//
// In a request of many, jobs of one user may follow each other. When one fails, those behind it go back to `blocked` as
// if they had not been sent, unless the destination said that they have arrived.

import type { Job, RequestDescriptor } from '../job.ts';
import type { JobStatus } from '../storage/contract.ts';
import type { HandedJob } from '../storage/partition-session.ts';
import type { DeliveryOutcome } from './delivery.ts';
import type { JobParameters } from './job-parameters.ts';
import type { Lane } from './lane.ts';
import type { Place } from './ordering.ts';
import { drainedCode, type Verdict } from './retry.ts';

export type Phase = 'blocked' | 'ready' | 'waiting' | 'sending' | 'settled';

export type JobLane = Lane<RoutedJob>;

export interface RoutedJob {
  readonly job: Job;
  readonly afterId: number;
  /** Undefined: they cannot be read, the job can only be aborted. */
  readonly parameters: JobParameters | undefined;
  /** One object for all jobs of a lane that are sent the same way; undefined, with a reason, when it cannot be sent. */
  readonly request: RequestDescriptor | undefined;
  readonly problem: string;
  readonly lane: JobLane;
  phase: Phase;
  /** Set when it enters the barrier, right after it was made. */
  place: Place<RoutedJob> | undefined;
  /** Attempts made so far. */
  attempts: number;
  /** 0: none yet. */
  firstAttemptedAtMs: number;
  retryTimeMs: number;
  /** The destination refused it among others: it goes in a request of its own. */
  mustBeAlone: boolean;
  /** A result an older session got and could not commit: the job must not be sent again for it. */
  earlier: Settled | undefined;
}

/** What is to be committed about a job. */
export interface Settled {
  /** Undefined: plain success. */
  status: JobStatus | undefined;
}

export interface Recorded {
  routed: RoutedJob;
  settled: Settled;
}

/** What a job is and how it is sent, as its lane read it. */
export type JobContent = Pick<RoutedJob, 'parameters' | 'request' | 'problem'>;

export function createRoutedJob(handed: HandedJob, content: JobContent, lane: JobLane): RoutedJob {
  const { job, afterId, status } = handed;
  return {
    job,
    afterId,
    parameters: content.parameters,
    request: content.request,
    problem: content.problem,
    lane,
    phase: 'blocked',
    place: undefined,
    attempts: status?.attempt ?? 0,
    firstAttemptedAtMs: status?.firstAttemptedAtMs ?? 0,
    retryTimeMs: status?.retryTimeMs ?? 0,
    mustBeAlone: false,
    earlier: undefined,
  };
}

/** The attempt an older session made counts, whether or not its status was committed. */
export function applyEarlier(routed: RoutedJob, { status }: Settled): void {
  routed.earlier = undefined;
  if (status === undefined) return;
  routed.attempts = Math.max(routed.attempts, status.attempt);
  if (routed.firstAttemptedAtMs === 0) routed.firstAttemptedAtMs = status.firstAttemptedAtMs;
}

/**
 * The same for every attempt of a job and for no other job: the gateway's id of the event and the destination. The
 * time of receipt keeps keys apart when a data folder was thrown away and ids began anew.
 */
export function idempotencyKey({ receivedAtMs, parentId }: Job, encodedDestinationId: string, copy?: number): string {
  const key = `${receivedAtMs.toString(36)}-${parentId}-${encodedDestinationId}`;
  return copy === undefined ? key : `${key}-${copy}`;
}

/** A payload is a view into all rows of its hand-out; a job that stays for long must not keep its neighbours' bytes. */
export function ownPayload(job: Job): void {
  if (job.payload.byteLength < job.payload.buffer.byteLength) job.payload = Uint8Array.from(job.payload);
}

export function settledBy(verdict: Verdict, routed: RoutedJob, outcome: DeliveryOutcome, nowMs: number): Settled {
  // A first attempt that simply succeeded is the compact case; a late success tells how late it was.
  if (verdict.state === 'succeeded' && routed.attempts === 1) return { status: undefined };
  const reason = verdict.state === 'aborted' ? verdict.reason : undefined;
  return {
    status: {
      jobId: routed.job.jobId,
      state: verdict.state,
      attempt: routed.attempts,
      code: verdict.state === 'aborted' ? verdict.code : outcome.code,
      response: responseJson(routed, outcome, reason),
      execTimeMs: nowMs,
      retryTimeMs: verdict.state === 'failed' ? verdict.retryTimeMs : 0,
      firstAttemptedAtMs: routed.firstAttemptedAtMs,
    },
  };
}

/** Given up without an attempt: attempts so far are kept as they are. */
export function drainedFor(reason: string, routed: RoutedJob, nowMs: number, code = drainedCode): Settled {
  return {
    status: {
      jobId: routed.job.jobId,
      state: 'aborted',
      attempt: routed.attempts,
      code,
      response: JSON.stringify({ reason, payloadStage: 'router_input' }),
      execTimeMs: nowMs,
      retryTimeMs: 0,
      firstAttemptedAtMs: routed.firstAttemptedAtMs,
    },
  };
}

const redactedResponse = JSON.stringify({ response: 'redacted: it cannot be stored' });

/** The same results without what destinations said; undefined when there is nothing left to leave out. */
export function redact(recorded: readonly Recorded[]): Recorded[] | undefined {
  let isChanged = false;
  const redacted = recorded.map(({ routed, settled: { status } }): Recorded => {
    if (status === undefined || status.response === redactedResponse) return { routed, settled: { status } };
    isChanged = true;
    return { routed, settled: { status: { ...status, response: redactedResponse } } };
  });
  return isChanged ? redacted : undefined;
}

/** Field names as in spec/delivery.md 1.9. */
function responseJson(routed: RoutedJob, outcome: DeliveryOutcome, reason: string | undefined): string {
  return JSON.stringify({
    response: outcome.response,
    firstAttemptedAt: new Date(routed.firstAttemptedAtMs).toISOString(),
    'content-type': outcome.contentType,
    routerSubStage: outcome.stage ?? 'router_dest_delivery',
    payloadStage: outcome.stage === undefined ? 'delivery' : 'router_input',
    ...(outcome.rule === undefined ? {} : { rule: outcome.rule }),
    ...(reason === undefined ? {} : { reason }),
  });
}
