// The attempts of one router: starts them, keeps them while they are in flight, and judges how they ended. Deliveries
// end outside of any message, so they are only noted there and taken over inside the next one.

import { createHash } from 'node:crypto';
import type { Clock, SpanHandle, Tracing } from '../../runtime/index.ts';
import type { BatchVerdict } from '../destinations/destination.ts';
import type { Batching } from './batching.ts';
import { isDown } from './breaker.ts';
import type { Delivery, DeliveryOutcome, DeliveryRequest } from './delivery.ts';
import { codeBy, matchRule } from './response-rules.ts';
import { judge, type Verdict } from './retry.ts';
import { idempotencyKey, type JobLane, type RoutedJob, type Settled, settledBy } from './routed-job.ts';

export interface SenderOptions {
  delivery: Delivery;
  tracing: Tracing;
  clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
  /** Called once until `takeCompleted` is called. */
  onCompleted(): void;
  /** The destination of this lane was found to be down, or up again. */
  onBreaker(lane: JobLane, change: 'opened' | 'closed', outcome: DeliveryOutcome): void;
}

export interface Attempt {
  readonly jobId: number;
  readonly lane: JobLane;
  /** The job the result is for; another object than the first when its session was lost and it came again. */
  routed: RoutedJob;
  /** Set when it ended; undefined then: one before it in the same request failed, and it counts as not sent. */
  settled: Settled | undefined;
}

/** Of an answer that many jobs share, each keeps this much: a thousand copies of a page help nobody. */
const sharedAnswerCharactersMax = 1_024;

export class Sender {
  readonly #options: SenderOptions;
  readonly #inFlight = new Map<number, Attempt>();
  #requests = 0;
  #completed: Attempt[] = [];
  #onIdle: (() => void) | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** One request for jobs of one lane that are sent the same way and were not drained, in id order. */
  send(lane: JobLane, jobs: readonly RoutedJob[]): void {
    const { delivery, clock } = this.#options;
    const [first] = jobs;
    if (first?.request === undefined) throw new Error('expected jobs that are not to be drained');
    const nowMs = clock.nowMs();
    lane.breaker.sent();
    const attempts: Attempt[] = [];
    let bytes = 0;
    for (const routed of jobs) {
      routed.phase = 'sending';
      routed.attempts += 1;
      if (routed.firstAttemptedAtMs === 0) routed.firstAttemptedAtMs = nowMs;
      bytes += routed.job.payload.byteLength;
      const attempt: Attempt = { jobId: routed.job.jobId, lane, routed, settled: undefined };
      attempts.push(attempt);
      this.#inFlight.set(attempt.jobId, attempt);
    }
    this.#requests += 1;
    lane.inFlight += 1;
    lane.bytesInFlight += bytes;
    const span = this.#startSpan(first);
    const { batch } = lane.policy;
    const request = batch === undefined ? requestOf(first, lane) : batchRequestOf(jobs, lane, batch);
    if (span !== undefined) request.traceparent = span.traceparent;
    delivery.send(request, (outcome) => {
      span?.end(spanEnd(outcome));
      lane.inFlight -= 1;
      lane.bytesInFlight -= bytes;
      this.#complete(lane, attempts, outcome);
    });
  }

  isUnderWay({ job }: RoutedJob): boolean {
    return this.#inFlight.has(job.jobId);
  }

  /** True when a request for this job, begun in an older session, is still in flight: its result goes to `routed`. */
  adopt(routed: RoutedJob): boolean {
    const attempt = this.#inFlight.get(routed.job.jobId);
    if (attempt === undefined) return false;
    routed.attempts = Math.max(routed.attempts, attempt.routed.attempts);
    routed.firstAttemptedAtMs = attempt.routed.firstAttemptedAtMs;
    attempt.routed = routed;
    return true;
  }

  takeCompleted(): Attempt[] {
    const completed = this.#completed;
    this.#completed = [];
    return completed;
  }

  /** Resolves when no request is in flight. */
  idle(): Promise<void> {
    if (this.#requests === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #complete(lane: JobLane, attempts: readonly Attempt[], given: DeliveryOutcome): void {
    const { clock, onCompleted, onBreaker } = this.#options;
    const nowMs = clock.nowMs();
    this.#requests -= 1;
    const outcome = byRules(lane, given);
    this.#judgeAll(lane, attempts, outcome, nowMs);
    lane.throttle?.ended(outcome.code, nowMs);
    const change = lane.breaker.ended(isDown(outcome.code), nowMs);
    if (change !== undefined) onBreaker(lane, change, outcome);
    const isFirst = this.#completed.length === 0;
    for (const attempt of attempts) this.#completed.push(attempt);
    if (isFirst) onCompleted();
    if (this.#requests === 0) this.#onIdle?.();
  }

  /** In id order. What did not arrive holds back what stands behind it, unless that has arrived. */
  #judgeAll(lane: JobLane, attempts: readonly Attempt[], outcome: DeliveryOutcome, nowMs: number): void {
    const verdicts = verdictsOf(lane, outcome, attempts.length);
    const heldKeys = new Set<string>();
    for (const [index, attempt] of attempts.entries()) {
      this.#inFlight.delete(attempt.jobId);
      const { routed } = attempt;
      const told = verdicts?.[index];
      const own = told === undefined ? outcome : memberOutcome(outcome, told);
      const verdict = own === undefined ? undefined : this.#judge(lane, routed, own, nowMs);
      const isOut = verdict !== undefined && verdict.state !== 'failed';
      const stands = routed.place?.stands ?? [];
      if (own === undefined || verdict === undefined || (!isOut && stands.some(({ key }) => heldKeys.has(key)))) {
        routed.mustBeAlone ||= told?.kind === 'alone';
        routed.attempts -= 1;
      } else attempt.settled = settledBy(verdict, routed, own, nowMs);
      if (!isOut && verdicts !== undefined) for (const { key } of stands) heldKeys.add(key);
    }
  }

  #judge({ policy }: JobLane, routed: RoutedJob, outcome: DeliveryOutcome, nowMs: number): Verdict {
    const { code, retryAfterMs, isBlameless = false } = outcome;
    const { attempts: number, firstAttemptedAtMs } = routed;
    const isOfRun = routed.parameters?.source_job_run_id !== undefined;
    return judge(
      { code, number, firstAttemptedAtMs, nowMs, retryAfterMs, isBlameless },
      isOfRun ? policy.jobRunRetry : policy.retry,
      this.#options.random,
    );
  }

  #startSpan(routed: RoutedJob): SpanHandle | undefined {
    const { tracing } = this.#options;
    if (!tracing.enabled) return undefined;
    return tracing.start('router.deliver', {
      traceparent: routed.parameters?.traceparent,
      kind: 'client',
      attributes: { 'sluice.destination.id': routed.lane.destinationId, 'sluice.attempt': routed.attempts },
    });
  }
}

const noRequest = { method: '', endpoint: '', headers: {}, params: {}, format: 'NONE' } as const;

function requestOf(routed: RoutedJob, lane: JobLane): DeliveryRequest {
  const { job, request, parameters } = routed;
  return {
    poolKey: lane.destinationId,
    destination: lane.policy.destination,
    request: request ?? noRequest,
    body: job.payload,
    jobs: 1,
    keepsAnswer: lane.policy.rules?.readsSuccess === true,
    idempotencyKey: idempotencyKey(job, lane.encodedId, parameters?.copy),
    traceparent: parameters?.traceparent,
    signingKeys: lane.policy.signingKeys,
    ...(lane.policy.rules === undefined ? {} : { rules: lane.policy.rules }),
    ...(lane.policy.connection === undefined ? {} : { connection: lane.policy.connection }),
    about: routed,
  };
}

/** Also for one job: a receiver that is promised arrays gets nothing else. */
function batchRequestOf(jobs: readonly RoutedJob[], lane: JobLane, batch: Batching): DeliveryRequest {
  const [first] = jobs;
  if (first === undefined) throw new Error('expected a job at least');
  const { about, ...single } = requestOf(first, lane);
  return {
    ...single,
    ...batch.merge(jobs.map(({ request, job }) => ({ request: request ?? noRequest, body: job.payload }))),
    jobs: jobs.length,
    keepsAnswer: true,
    idempotencyKey: jobs.length === 1 ? single.idempotencyKey : batchKey(jobs, lane),
    ...(jobs.length === 1 && about !== undefined ? { about } : {}),
  };
}

/** The same for the same jobs, and for no others. */
function batchKey(jobs: readonly RoutedJob[], lane: JobLane): string {
  const hash = createHash('sha256');
  for (const { job, parameters } of jobs) hash.update(`${idempotencyKey(job, '', parameters?.copy)} `);
  return `batch-${jobs.length}-${hash.digest('base64url').slice(0, 32)}-${lane.encodedId}`;
}

/** What the destination said about each job. Where nobody was at fault, "again" would be the same again for ever. */
function verdictsOf({ policy }: JobLane, outcome: DeliveryOutcome, count: number): readonly BatchVerdict[] | undefined {
  const verdicts = policy.batch?.verdicts(outcome.code, outcome.response, count);
  if (verdicts === undefined || verdicts.some(({ kind }) => kind === 'ended')) return verdicts;
  return count === 1 ? undefined : verdicts.map(() => ({ kind: 'alone' }));
}

/** Undefined: it counts as not sent. */
function memberOutcome(outcome: DeliveryOutcome, told: BatchVerdict): DeliveryOutcome | undefined {
  if (told.kind !== 'ended') return undefined;
  const text = told.reason ?? outcome.response;
  return { ...outcome, code: told.code, response: text.slice(0, sharedAnswerCharactersMax) };
}

/** What the answer counts as by the rules of the destination. */
function byRules({ policy: { rules } }: JobLane, outcome: DeliveryOutcome): DeliveryOutcome {
  const { code, response: text, headers } = outcome;
  if (rules === undefined || headers === undefined) return outcome;
  const rule = matchRule(rules, { code, text, headers });
  if (rule === undefined) return outcome;
  return {
    ...outcome,
    code: codeBy(rule, code),
    rule: `${code} counts as ${rule.outcome}: ${rule.reason ?? 'by rule'}`,
  };
}

function spanEnd({ code }: DeliveryOutcome): Parameters<SpanHandle['end']>[0] {
  const attributes = { 'http.response.status_code': code };
  return code >= 200 && code < 300 ? { attributes } : { error: `code ${code}`, attributes };
}
