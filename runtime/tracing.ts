// Traces of one thread behind the Tracing contract. Without an OTLP endpoint no OpenTelemetry package is even loaded
// and a traceparent is only passed on; with one, each thread runs a small SDK of its own, because an SDK, like its
// global API, does not reach beyond a thread. Parents are given explicitly: no AsyncLocalStorage is ever entered.

import type { Context, ContextManager, Link, Span, SpanContext, SpanKind, Tracer } from '@opentelemetry/api';
import type { ActorLog } from './actor.ts';
import type { Clock } from './seams.ts';
import type { SpanHandle, SpanOptions, Tracing } from './telemetry.ts';
import { createDiagnostics } from './telemetry-diagnostics.ts';
import { formatTraceparent, isSampled, normalizeTraceparent, parseTraceparent } from './traceparent.ts';

export interface TracingOptions {
  /** The environment of this thread. It must be the real one: the SDK reads its OTEL_* variables there by itself. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Used where OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES name none. */
  serviceName: string;
  threadName: string;
  log: Pick<ActorLog, 'warn'>;
  clock: Clock;
}

export interface ThreadTracing extends Tracing {
  /** Sends what is still queued, for at most `deadlineMs`; never rejects. */
  shutdown(deadlineMs: number): Promise<void>;
}

/** Spans one span can be linked to: the contract promises the first 128. */
const LINKS_PER_SPAN_MAX = 128;

export async function createTracing(options: TracingOptions): Promise<ThreadTracing> {
  return isTracingConfigured(options.environment) ? startTracing(options) : DISABLED;
}

function isTracingConfigured(environment: TracingOptions['environment']): boolean {
  return (
    isOtlpConfigured(environment, 'TRACES') && !(environment.OTEL_TRACES_EXPORTER ?? '').split(',').includes('none')
  );
}

/** True when there is an address to send this kind of telemetry to and the SDK is not switched off. */
export function isOtlpConfigured(environment: TracingOptions['environment'], signal: 'TRACES' | 'METRICS'): boolean {
  if (environment.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true') return false;
  const endpoint = environment[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`] || environment.OTEL_EXPORTER_OTLP_ENDPOINT;
  return endpoint !== undefined && endpoint.trim() !== '';
}

/** Neither recorded nor exported: carries the caller's traceparent on. */
class PassingSpan implements SpanHandle {
  readonly traceparent: string | undefined;

  constructor(traceparent: string | undefined) {
    this.traceparent = traceparent;
  }

  end(): void {}
}

const NO_SPAN: SpanHandle = Object.freeze(new PassingSpan(undefined));

const DISABLED: ThreadTracing = Object.freeze({
  enabled: false,
  start: (_name: string, options?: SpanOptions) => passOn(options?.traceparent),
  shutdown: () => Promise.resolve(),
});

function passOn(traceparent: string | undefined): SpanHandle {
  if (traceparent === undefined) return NO_SPAN;
  const valid = normalizeTraceparent(traceparent);
  return valid === undefined ? NO_SPAN : new PassingSpan(valid);
}

type Api = typeof import('@opentelemetry/api');

async function startTracing(options: TracingOptions): Promise<ThreadTracing> {
  const [api, { NodeSDK, resources }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-node'),
  ]);
  const { environment, serviceName, threadName } = options;
  const sdk = new NodeSDK({
    resource: resources
      .defaultResource()
      .merge(resources.resourceFromAttributes({ 'service.name': serviceName, 'thread.name': threadName })),
    // The process detector is left out by default: it exports the command line, where secrets may stand.
    ...(environment.OTEL_NODE_RESOURCE_DETECTORS
      ? {}
      : { resourceDetectors: [resources.envDetector, resources.hostDetector] }),
    contextManager: rootContextManager(api),
    textMapPropagator: null,
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
  });
  // After the constructor, which sets a logger that writes to the console when OTEL_LOG_LEVEL is given.
  api.diag.setLogger(createDiagnostics(options.log, options.clock), {
    logLevel: api.DiagLogLevel.WARN,
    suppressOverrideMessage: true,
  });
  sdk.start();
  const sampler = environment.OTEL_TRACES_SAMPLER?.trim() ?? '';
  const spans = new SpanStarter(api, sampler === '' || sampler.startsWith('parentbased_'));
  return {
    enabled: true,
    start: (name, spanOptions) => spans.start(name, spanOptions),
    shutdown: (deadlineMs) => settledWithin(deadlineMs, options.clock, sdk.shutdown()),
  };
}

const NO_OPTIONS: SpanOptions = Object.freeze({});

/** The path of every span, kept lean: one parse, one context, one span, one handle. */
class SpanStarter {
  readonly #api: Api;
  readonly #tracer: Tracer;
  readonly #kinds: Record<NonNullable<SpanOptions['kind']>, SpanKind>;
  /** With a parent-based sampler the children of what was not sampled need no look at the sampler. */
  readonly #followsParent: boolean;

  constructor(api: Api, followsParent: boolean) {
    this.#api = api;
    this.#tracer = api.trace.getTracer('sluice');
    this.#followsParent = followsParent;
    const { SERVER, CLIENT, CONSUMER, PRODUCER, INTERNAL } = api.SpanKind;
    this.#kinds = { server: SERVER, client: CLIENT, consumer: CONSUMER, producer: PRODUCER, internal: INTERNAL };
  }

  start(name: string, options: SpanOptions = NO_OPTIONS): SpanHandle {
    const { traceparent, kind, attributes, links } = options;
    const parent = traceparent === undefined ? undefined : normalizeTraceparent(traceparent);
    if (parent !== undefined && this.#followsParent && !isSampled(parent)) return new PassingSpan(parent);
    const span = this.#tracer.startSpan(
      name,
      {
        kind: this.#kinds[kind ?? 'internal'],
        ...(attributes === undefined ? {} : { attributes }),
        ...(links === undefined ? {} : { links: this.#links(links) }),
      },
      this.#parentContext(parent),
    );
    const { traceId, spanId, traceFlags } = span.spanContext();
    const own = formatTraceparent(traceId, spanId, (traceFlags & 1) === 1);
    return span.isRecording() ? new RecordingSpan(own, span, this.#api.SpanStatusCode.ERROR) : new PassingSpan(own);
  }

  #parentContext(parent: string | undefined): Context {
    const spanContext = parent === undefined ? undefined : toSpanContext(parent);
    const root = this.#api.ROOT_CONTEXT;
    return spanContext === undefined ? root : this.#api.trace.setSpanContext(root, spanContext);
  }

  #links(traceparents: readonly string[]): Link[] {
    const links: Link[] = [];
    const count = Math.min(traceparents.length, LINKS_PER_SPAN_MAX);
    for (let index = 0; index < count; index += 1) {
      const context = toSpanContext(traceparents[index] ?? '');
      if (context !== undefined) links.push({ context });
    }
    return links;
  }
}

class RecordingSpan implements SpanHandle {
  readonly traceparent: string;
  readonly #span: Span;
  readonly #errorCode: number;

  constructor(traceparent: string, span: Span, errorCode: number) {
    this.traceparent = traceparent;
    this.#span = span;
    this.#errorCode = errorCode;
  }

  end(outcome?: Parameters<SpanHandle['end']>[0]): void {
    const span = this.#span;
    // Ending twice is harmless here, as it is with a span that is only passed on.
    if (!span.isRecording()) return;
    if (outcome?.attributes !== undefined) span.setAttributes(outcome.attributes);
    if (outcome?.error !== undefined) span.setStatus({ code: this.#errorCode, message: outcome.error });
    span.end();
  }
}

function toSpanContext(traceparent: string): SpanContext | undefined {
  const parsed = parseTraceparent(traceparent);
  if (parsed === undefined) return undefined;
  return { traceId: parsed.traceId, spanId: parsed.spanId, traceFlags: parsed.sampled ? 1 : 0, isRemote: true };
}

/** The SDK's own context manager enters an AsyncLocalStorage at every export, which slows all promises of the thread. */
function rootContextManager(api: Api): ContextManager {
  const root: ContextManager = {
    active: () => api.ROOT_CONTEXT,
    with: (_context, run, self, ...parameters) => run.call(self, ...parameters),
    bind: (_context, target) => target,
    enable: () => root,
    disable: () => root,
  };
  return root;
}

/** A collector that is gone makes the flush fail; the diagnostics have said so, and it changes nothing for us. */
export function settledWithin(deadlineMs: number, clock: Clock, flush: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(deadlineMs, resolve);
    const settled = (): void => {
      timer.cancel();
      resolve();
    };
    flush.then(settled, settled);
  });
}
