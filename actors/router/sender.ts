// The attempts of one router: starts them, keeps them while they are in flight, and judges how they ended. Deliveries
// end outside of any message, so they are only noted there and taken over inside the next one.

import type { Clock, Counter, Histogram, SpanHandle } from '../../runtime/index.ts';
import { destinationTypeLabel } from '../destinations/registry.ts';
import type { Environment } from '../environment.ts';
import type { DestinationConfig, WorkspaceHolder, WorkspaceIndex } from '../services/workspace.ts';
import { isDown } from './breaker.ts';
import type { Delivery, DeliveryOutcome } from './delivery.ts';
import type { Lane } from './lane.ts';
import { judge, type RetryPolicy } from './retry.ts';
import { drainedFor, idempotencyKey, type RoutedJob, type Settled, settledBy } from './routed-job.ts';
import { signingKeysOf } from './signature.ts';

export interface SenderOptions {
  delivery: Delivery;
  environment: Environment;
  clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
  /** Called once until `takeCompleted` is called. */
  onCompleted(): void;
  /** The destination of this lane was found to be down, or up again. */
  onBreaker(lane: Lane<RoutedJob>, change: 'opened' | 'closed', outcome: DeliveryOutcome): void;
}

export interface Attempt {
  readonly jobId: number;
  readonly lane: Lane<RoutedJob>;
  /** The job the result is for; another object than the first when its session was lost and it came again. */
  routed: RoutedJob;
  /** Set when it ended. */
  settled: Settled | undefined;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #policy: RetryPolicy;
  readonly #metrics: DeliveryMetrics;
  readonly #inFlight = new Map<number, Attempt>();
  readonly #keys = new WeakMap<DestinationConfig, readonly Buffer[]>();
  #completed: Attempt[] = [];
  #onIdle: (() => void) | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
    const { retryBackoffMsMin, retryBackoffMsMax, retryWindowMs, attemptsMax } = options.environment.settings.router;
    this.#policy = {
      backoffMsMin: retryBackoffMsMin,
      backoffMsMax: retryBackoffMsMax,
      windowMs: retryWindowMs,
      attemptsMax,
    };
    this.#metrics = new DeliveryMetrics(options.environment);
  }

  /** Why the job is given up without being sent; undefined when it is to be sent. */
  drained(routed: RoutedJob): Settled | undefined {
    const { environment, clock } = this.#options;
    const reason = this.#drainReason(routed, environment);
    return reason === undefined ? undefined : drainedFor(reason, routed, clock.nowMs());
  }

  /** Sends a job that is not drained. */
  start(routed: RoutedJob): void {
    const { delivery, clock } = this.#options;
    const { parameters, lane, job } = routed;
    if (parameters === undefined) throw new Error('expected a job that was looked at by drained() before');
    const nowMs = clock.nowMs();
    lane.breaker.sent();
    routed.attempts += 1;
    if (routed.firstAttemptedAtMs === 0) routed.firstAttemptedAtMs = nowMs;
    const attempt: Attempt = { jobId: job.jobId, lane, routed, settled: undefined };
    this.#inFlight.set(job.jobId, attempt);
    lane.inFlight += 1;
    const span = this.#startSpan(routed, parameters.traceparent);
    delivery.send(
      {
        poolKey: lane.destinationId,
        request: parameters.request,
        body: job.payload,
        idempotencyKey: idempotencyKey(job, lane.destinationId, parameters.copy),
        traceparent: span?.traceparent ?? parameters.traceparent,
        signingKeys: this.#signingKeys(lane.destinationId),
        about: routed,
      },
      (outcome) => {
        span?.end(spanEnd(outcome));
        this.#complete(attempt, outcome);
      },
    );
  }

  /** Read from the configuration once for each version of a destination. */
  #signingKeys(destinationId: string): readonly Buffer[] {
    const destination = this.#options.environment.workspace.current.destinationById(destinationId);
    if (destination === undefined) return [];
    let keys = this.#keys.get(destination);
    if (keys === undefined) {
      keys = signingKeysOf(destination);
      this.#keys.set(destination, keys);
    }
    return keys;
  }

  #drainReason({ parameters, lane, job }: RoutedJob, { workspace, controls }: Environment): string | undefined {
    if (parameters === undefined) return 'job parameters cannot be read';
    const destination = workspace.current.destinationById(lane.destinationId);
    if (destination === undefined) return 'destination is not available in the config';
    if (!destination.enabled) return 'destination is disabled';
    return controls.drainReason({
      destinationId: lane.destinationId,
      sourceId: parameters.source_id,
      jobRunId: parameters.source_job_run_id ?? '',
      receivedAtMs: job.receivedAtMs,
    });
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
    if (this.#inFlight.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** For metrics, once the result is committed. */
  count(routed: RoutedJob, settled: Settled): void {
    this.#metrics.count(routed, settled, this.#options.clock.nowMs());
  }

  #complete(attempt: Attempt, outcome: DeliveryOutcome): void {
    const { clock, random, onCompleted, onBreaker } = this.#options;
    const { routed, lane } = attempt;
    const nowMs = clock.nowMs();
    const verdict = judge(
      {
        code: outcome.code,
        number: routed.attempts,
        firstAttemptedAtMs: routed.firstAttemptedAtMs,
        nowMs,
        retryAfterMs: outcome.retryAfterMs,
        isBlameless: outcome.isBlameless === true,
      },
      this.#policy,
      random,
    );
    attempt.settled = settledBy(verdict, routed, outcome, nowMs);
    this.#inFlight.delete(attempt.jobId);
    lane.inFlight -= 1;
    lane.throttle?.ended(outcome.code, nowMs);
    const change = lane.breaker.ended(isDown(outcome.code), nowMs);
    if (change !== undefined) onBreaker(lane, change, outcome);
    if (this.#completed.push(attempt) === 1) onCompleted();
    if (this.#inFlight.size === 0) this.#onIdle?.();
  }

  #startSpan(routed: RoutedJob, traceparent: string | undefined): SpanHandle | undefined {
    const { tracing } = this.#options.environment.telemetry;
    if (!tracing.enabled) return undefined;
    return tracing.start('router.deliver', {
      traceparent,
      kind: 'client',
      attributes: { 'sluice.destination.id': routed.lane.destinationId, 'sluice.attempt': routed.attempts },
    });
  }
}

function spanEnd({ code }: DeliveryOutcome): Parameters<SpanHandle['end']>[0] {
  const attributes = { 'http.response.status_code': code };
  return code >= 200 && code < 300 ? { attributes } : { error: `code ${code}`, attributes };
}

/** By destination type and outcome: never by anything there are many of. */
class DeliveryMetrics {
  readonly #workspace: WorkspaceHolder;
  readonly #attempts: Counter;
  readonly #latency: Histogram;
  /** Type labels by destination id, as of `#index`. */
  readonly #types = new Map<string, string>();
  #index: WorkspaceIndex | undefined;

  constructor({ telemetry, workspace }: Environment) {
    const { metrics } = telemetry;
    this.#workspace = workspace;
    this.#attempts = metrics.counter('sluice_router_attempts_total', 'Committed attempts, by what became of the job');
    this.#latency = metrics.histogram('sluice_router_delivery_latency_ms', 'Time from receipt to committed delivery');
  }

  count(routed: RoutedJob, settled: Settled, nowMs: number): void {
    const outcome = settled.status?.state ?? 'succeeded';
    const type = this.#typeOf(routed.lane.destinationId);
    this.#attempts.add(1, { destination_type: type, outcome });
    if (outcome === 'succeeded') this.#latency.record(nowMs - routed.job.receivedAtMs, { destination_type: type });
  }

  #typeOf(destinationId: string): string {
    const index = this.#workspace.current;
    if (index !== this.#index) this.#types.clear();
    this.#index = index;
    let type = this.#types.get(destinationId);
    if (type === undefined) {
      type = destinationTypeLabel(index.destinationById(destinationId));
      this.#types.set(destinationId, type);
    }
    return type;
  }
}
