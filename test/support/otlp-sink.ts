// A collector of our own: takes OTLP over HTTP on a free port and keeps what it got, so that a test can see exactly what
// left the program. `waitForSpans` waits for an arrival, never for time.

import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { decodeMetricsRequest, decodeTraceRequest, type OtlpMetric, type OtlpSpan } from './otlp-messages.ts';

export interface OtlpSink {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly endpoint: string;
  spans(): OtlpSpan[];
  /** Of all requests, oldest first: an exporter repeats its metrics. */
  metrics(): OtlpMetric[];
  /** Resolves with all spans so far once `predicate` holds; rejects on a request that is no OTLP. Give the test a timeout. */
  waitForSpans(predicate: (spans: readonly OtlpSpan[]) => boolean): Promise<OtlpSpan[]>;
  waitForMetrics(predicate: (metrics: readonly OtlpMetric[]) => boolean): Promise<OtlpMetric[]>;
}

export async function startOtlpSink(t: TestContext): Promise<OtlpSink> {
  const spans: OtlpSpan[] = [];
  const metrics: OtlpMetric[] = [];
  const arrivals = new EventEmitter();
  let failure: unknown;
  const server = createServer((request, response) => {
    readBody(request)
      .then((body) => {
        if (request.url === '/v1/traces') spans.push(...decodeTraceRequest(body));
        else if (request.url === '/v1/metrics') metrics.push(...decodeMetricsRequest(body));
        else throw new Error(`expected /v1/traces or /v1/metrics, got ${request.url}`);
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      })
      .catch((error: unknown) => {
        failure ??= error;
        response.writeHead(400).end(String(error));
      })
      .finally(() => arrivals.emit('arrival'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });

  async function waitUntil<Item>(items: Item[], predicate: (items: readonly Item[]) => boolean): Promise<Item[]> {
    while (failure === undefined && !predicate(items)) await once(arrivals, 'arrival', { signal: t.signal });
    if (failure !== undefined) throw failure;
    return [...items];
  }

  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected the sink to listen on a port');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    spans: () => [...spans],
    metrics: () => [...metrics],
    waitForSpans: (predicate) => waitUntil(spans, predicate),
    waitForMetrics: (predicate) => waitUntil(metrics, predicate),
  };
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  if (request.headers['content-type'] !== 'application/x-protobuf') {
    throw new Error(`expected protobuf, got ${request.headers['content-type']}`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  return request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
}
