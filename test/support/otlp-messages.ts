// Decodes OTLP trace and metric requests into plain objects. Field numbers are those of opentelemetry-proto 1.x.

import { ProtobufMessage } from './protobuf.ts';

export type OtlpAttributes = Record<string, string | number | boolean>;

export interface OtlpSpan {
  traceId: string;
  spanId: string;
  /** Empty for a root. */
  parentSpanId: string;
  name: string;
  kind: string;
  startNanos: bigint;
  endNanos: bigint;
  attributes: OtlpAttributes;
  links: { traceId: string; spanId: string }[];
  status: { code: string; message: string };
  resource: OtlpAttributes;
  scope: string;
}

export interface OtlpPoint {
  attributes: OtlpAttributes;
  startNanos: bigint;
  endNanos: bigint;
  value?: number;
  histogram?: { count: number; sum: number; counts: number[]; bounds: number[] };
}

export interface OtlpMetric {
  name: string;
  help: string;
  kind: 'gauge' | 'sum' | 'histogram';
  monotonic: boolean;
  cumulative: boolean;
  points: OtlpPoint[];
  resource: OtlpAttributes;
}

const KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
const STATUS_CODES = ['unset', 'ok', 'error'];
const CUMULATIVE = 2n;

export function decodeTraceRequest(bytes: Uint8Array): OtlpSpan[] {
  return new ProtobufMessage(bytes).messages(1).flatMap((resourceSpans) => {
    const resource = attributesOf(resourceSpans.message(1), 1);
    return resourceSpans.messages(2).flatMap((scopeSpans) => {
      const scope = scopeSpans.message(1)?.string(1) ?? '';
      return scopeSpans.messages(2).map((span) => decodeSpan(span, resource, scope));
    });
  });
}

export function decodeMetricsRequest(bytes: Uint8Array): OtlpMetric[] {
  return new ProtobufMessage(bytes).messages(1).flatMap((resourceMetrics) => {
    const resource = attributesOf(resourceMetrics.message(1), 1);
    const scopes = resourceMetrics.messages(2);
    return scopes.flatMap((scope) => scope.messages(2).map((metric) => decodeMetric(metric, resource)));
  });
}

function decodeSpan(span: ProtobufMessage, resource: OtlpAttributes, scope: string): OtlpSpan {
  const status = span.message(15);
  return {
    traceId: span.hex(1),
    spanId: span.hex(2),
    parentSpanId: span.hex(4),
    name: span.string(5),
    kind: KINDS[Number(span.integer(6))] ?? 'unknown',
    startNanos: span.integer(7),
    endNanos: span.integer(8),
    attributes: attributesOf(span, 9),
    links: span.messages(13).map((link) => ({ traceId: link.hex(1), spanId: link.hex(2) })),
    status: {
      code: STATUS_CODES[Number(status?.integer(3) ?? 0n)] ?? 'unknown',
      message: status?.string(2) ?? '',
    },
    resource,
    scope,
  };
}

function decodeMetric(metric: ProtobufMessage, resource: OtlpAttributes): OtlpMetric {
  const common = { name: metric.string(1), help: metric.string(2), resource };
  const gauge = metric.message(5);
  if (gauge !== undefined) {
    return {
      ...common,
      kind: 'gauge',
      monotonic: false,
      cumulative: false,
      points: gauge.messages(1).map(numberPoint),
    };
  }
  const sum = metric.message(7);
  if (sum !== undefined) {
    const cumulative = sum.integer(2) === CUMULATIVE;
    return {
      ...common,
      kind: 'sum',
      monotonic: sum.integer(3) === 1n,
      cumulative,
      points: sum.messages(1).map(numberPoint),
    };
  }
  const histogram = metric.message(9);
  if (histogram === undefined) throw new Error(`expected ${common.name} to be a gauge, sum or histogram`);
  const cumulative = histogram.integer(2) === CUMULATIVE;
  return {
    ...common,
    kind: 'histogram',
    monotonic: true,
    cumulative,
    points: histogram.messages(1).map(histogramPoint),
  };
}

function numberPoint(point: ProtobufMessage): OtlpPoint {
  const value = point.has(6) ? Number(BigInt.asIntN(64, point.integer(6))) : point.double(4);
  return { attributes: attributesOf(point, 7), startNanos: point.integer(2), endNanos: point.integer(3), value };
}

function histogramPoint(point: ProtobufMessage): OtlpPoint {
  return {
    attributes: attributesOf(point, 9),
    startNanos: point.integer(2),
    endNanos: point.integer(3),
    histogram: {
      count: Number(point.integer(4)),
      sum: point.double(5),
      counts: point.fixed64s(6).map(Number),
      bounds: point.doubles(7),
    },
  };
}

function attributesOf(message: ProtobufMessage | undefined, field: number): OtlpAttributes {
  const pairs = message?.messages(field) ?? [];
  return Object.fromEntries(pairs.map((pair) => [pair.string(1), anyValue(pair.message(2))]));
}

function anyValue(value: ProtobufMessage | undefined): string | number | boolean {
  if (value === undefined || value.has(1)) return value?.string(1) ?? '';
  if (value.has(2)) return value.integer(2) === 1n;
  if (value.has(3)) return Number(BigInt.asIntN(64, value.integer(3)));
  if (value.has(4)) return value.double(4);
  return '';
}
