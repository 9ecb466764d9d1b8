// How the services behind the gateway are doing, for /status, the metrics and the log. A service that fails alone says
// so here and nowhere else: once in the log when it begins, once when it is over, and in its figures all the time.

import type { ActorLog, Clock, Counter, Gauge, Metrics } from '../../runtime/index.ts';

/** `starting` until its first success or failure. */
export type ServiceState = 'starting' | 'working' | 'degraded';

export interface ServiceStatus {
  name: string;
  state: ServiceState;
  lastSuccessAtMs?: number;
  /** The last one, also when it is over: then `state` is `working`. */
  lastError?: { atMs: number; text: string };
}

export interface ServiceParts {
  clock: Clock;
  log: ActorLog;
  metrics: Metrics;
}

/** One of each service's; all of them together are in `Services`. */
export class ServiceHealth {
  readonly name: string;
  readonly #parts: ServiceParts;
  readonly #failures: Counter;
  readonly #up: Gauge;
  #state: ServiceState = 'starting';
  #lastSuccessAtMs: number | undefined;
  #lastError: { atMs: number; text: string } | undefined;

  constructor(name: string, parts: ServiceParts) {
    this.name = name;
    this.#parts = parts;
    this.#failures = parts.metrics.counter('sluice_service_failures_total', 'Failures of a service, by service');
    this.#up = parts.metrics.gauge('sluice_service_working', '1 while the service works, 0 while it is degraded');
  }

  get state(): ServiceState {
    return this.#state;
  }

  status(): ServiceStatus {
    const status: ServiceStatus = { name: this.name, state: this.#state };
    if (this.#lastSuccessAtMs !== undefined) status.lastSuccessAtMs = this.#lastSuccessAtMs;
    if (this.#lastError !== undefined) status.lastError = this.#lastError;
    return status;
  }

  succeeded(): void {
    this.#lastSuccessAtMs = this.#parts.clock.nowMs();
    if (this.#state === 'degraded') this.#parts.log.info({ service: this.name }, 'the service works again');
    this.#state = 'working';
    this.#up.set(1, { service: this.name });
  }

  /** `text` never holds secrets or bodies: it is shown and logged. */
  failed(text: string): void {
    const isNews = this.#state !== 'degraded' || this.#lastError?.text !== text;
    this.#lastError = { atMs: this.#parts.clock.nowMs(), text };
    this.#state = 'degraded';
    this.#up.set(0, { service: this.name });
    this.#failures.add(1, { service: this.name });
    if (isNews) this.#parts.log.warn({ service: this.name, reason: text }, 'the service is degraded');
  }
}

/** The services of this program, in the order in which they were begun. */
export class Services {
  readonly #parts: ServiceParts;
  readonly #all: ServiceHealth[] = [];

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  begin(name: string): ServiceHealth {
    const health = new ServiceHealth(name, this.#parts);
    this.#all.push(health);
    return health;
  }

  status(): ServiceStatus[] {
    return this.#all.map((health) => health.status());
  }
}
