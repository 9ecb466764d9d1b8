// One job in a router's window, and how its attempts become status rows. No I/O and no clock.

import { completeRequest, type StoredRequest } from '../destinations/destination.ts';
import { isTerminal, type Job, type RouterParameters } from '../job.ts';
import type { DeliveredJob, DeliveryObserver } from '../reporting/contract.ts';
import type { JobStatus } from '../storage/contract.ts';
import { collectResults, type FinishedJob } from '../storage/done-runs.ts';
import { jobRunOf, LedgerTally } from '../storage/ledger-tally.ts';
import type { HandedJob, Results } from '../storage/partition-session.ts';
import type { DeliveryOutcome } from './delivery.ts';
import type { Lane } from './lane.ts';
import type { Place } from './ordering.ts';
import { drainedCode, type Verdict } from './retry.ts';

export interface RoutedJob {
  readonly job: Job;
  readonly afterId: number;
  /** Undefined: they cannot be read, the job can only be aborted. */
  readonly parameters: RouterParameters | undefined;
  readonly lane: Lane<RoutedJob>;
  /** Set when it enters the barrier, right after it was made. */
  place: Place<RoutedJob> | undefined;
  /** Attempts made so far. */
  attempts: number;
  /** 0: none yet. */
  firstAttemptedAtMs: number;
  retryTimeMs: number;
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

export function createRoutedJob(
  handed: HandedJob,
  parameters: RouterParameters | undefined,
  lane: Lane<RoutedJob>,
): RoutedJob {
  const { job, afterId, status } = handed;
  return {
    job,
    afterId,
    parameters,
    lane,
    place: undefined,
    attempts: status?.attempt ?? 0,
    firstAttemptedAtMs: status?.firstAttemptedAtMs ?? 0,
    retryTimeMs: status?.retryTimeMs ?? 0,
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

/** Written by our own processor; still, a row nobody can read must not stop the partition. */
export function readRouterParameters(text: string): RouterParameters | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isStored(value)) return undefined;
    return Object.assign(value, { request: completeRequest(value.request) });
  } catch {
    return undefined;
  }
}

type StoredParameters = Omit<RouterParameters, 'request'> & { request: StoredRequest };

function isStored(value: unknown): value is StoredParameters {
  if (typeof value !== 'object' || value === null) return false;
  const { destination_id: destination, request } = value as Partial<Record<keyof RouterParameters, unknown>>;
  return typeof destination === 'string' && typeof request === 'object' && request !== null && 'endpoint' in request;
}

/**
 * The same for every attempt of a job and for no other job: the gateway's id of the event and the destination. The
 * time of receipt keeps keys apart when a data folder was thrown away and ids began anew.
 */
export function idempotencyKey(job: Job, destinationId: string, copy?: number): string {
  const key = `${job.receivedAtMs.toString(36)}-${job.parentId}-${encodeURIComponent(destinationId)}`;
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
export function drainedFor(reason: string, routed: RoutedJob, nowMs: number): Settled {
  return {
    status: {
      jobId: routed.job.jobId,
      state: 'aborted',
      attempt: routed.attempts,
      code: drainedCode,
      response: JSON.stringify({ reason, payloadStage: 'router_input' }),
      execTimeMs: nowMs,
      retryTimeMs: 0,
      firstAttemptedAtMs: routed.firstAttemptedAtMs,
    },
  };
}

/** What a commit says about these jobs: runs, statuses, the ledger's share of those that ended, and what is reported. */
export function resultsOf(recorded: readonly Recorded[], observer?: DeliveryObserver): Results {
  const ledger = new LedgerTally();
  const jobs: FinishedJob[] = [];
  for (const { routed, settled } of recorded) {
    const { job, afterId, parameters, lane } = routed;
    jobs.push({ jobId: job.jobId, afterId, status: settled.status });
    const state = settled.status?.state ?? 'succeeded';
    if (!isTerminal(state)) continue;
    const kind = state === 'succeeded' ? 'delivered' : state;
    const code = settled.status?.code ?? 0;
    ledger.add(job.receivedAtMs, parameters?.source_id ?? '', lane.destinationId, kind, jobRunOf(parameters), code);
  }
  const results = { jobs: [], ...collectResults(jobs), ledger: ledger.take(), ...ledger.takeJobRuns() };
  if (observer?.isWanted !== true) return results;
  return { ...results, observations: observer.observe(recorded.map(deliveredJob)) };
}

function deliveredJob({ routed, settled }: Recorded): DeliveredJob {
  const { job, parameters, lane } = routed;
  const { receivedAtMs, payload } = job;
  return { parameters, destinationId: lane.destinationId, receivedAtMs, payload, status: settled.status };
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
    ...(reason === undefined ? {} : { reason }),
  });
}
