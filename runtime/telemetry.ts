// Contract of telemetry as the layers above use it. Metrics are plain numbers per thread, collected by main;
// spans cost nothing unless an OTLP endpoint is configured.

export interface Counter {
  /** `labels` must be few and bounded: never a user, message or job id. */
  add(value: number, labels?: Readonly<Record<string, string>>): void;
}

export interface Gauge {
  set(value: number, labels?: Readonly<Record<string, string>>): void;
}

export interface Histogram {
  record(value: number, labels?: Readonly<Record<string, string>>): void;
}

export interface Metrics {
  /** Same name → same instrument. Names as Prometheus shows them, unit last: `sluice_gateway_events_total`. */
  counter(name: string, help: string): Counter;
  gauge(name: string, help: string): Gauge;
  /** `bounds`: upper bucket bounds, ascending; default suits milliseconds. */
  histogram(name: string, help: string, bounds?: readonly number[]): Histogram;
}

export interface SpanHandle {
  /** traceparent that children must carry; the caller's own when tracing is off; undefined when there is none. */
  readonly traceparent: string | undefined;
  end(outcome?: { error?: string; attributes?: Readonly<Record<string, string | number | boolean>> }): void;
}

export interface SpanOptions {
  /** W3C traceparent of the parent; absent starts a trace (sampled by configuration). */
  traceparent?: string | undefined;
  kind?: 'server' | 'client' | 'consumer' | 'producer' | 'internal';
  attributes?: Readonly<Record<string, string | number | boolean>>;
  /** traceparents of spans this one works for, e.g. members of a batch; first 128 are used. */
  links?: readonly string[];
}

export interface Tracing {
  readonly enabled: boolean;
  start(name: string, options?: SpanOptions): SpanHandle;
}

export interface Telemetry {
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}
