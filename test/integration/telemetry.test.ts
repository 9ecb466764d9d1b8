// Proves tracing against a collector of our own: what real threads export, how traces hang together, that a dead
// collector hurts nobody, and that no OpenTelemetry package is loaded where there is none.

import assert from 'node:assert';
import { once } from 'node:events';
import { createServer } from 'node:http';
import test, { type TestContext } from 'node:test';
import type { OtlpSpan } from '../support/otlp-messages.ts';
import { startOtlpSink } from '../support/otlp-sink.ts';
import { startTelemetryThread } from '../support/telemetry-thread.ts';

const DEADLINE = { timeout: 30_000 };
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const INCOMING = `00-${TRACE_ID}-00f067aa0ba902b7-01`;
const INCOMING_UNSAMPLED = `00-${TRACE_ID}-00f067aa0ba902b7-00`;

test('exports one trace over two threads, continuing the incoming traceparent', DEADLINE, async (t) => {
  const { sink, environment } = await setup(t);
  const gateway = await startTelemetryThread(t, 'gateway', environment);
  const router = await startTelemetryThread(t, 'router', environment);
  assert.equal(gateway.enabled, true);

  const received = await gateway.start('POST /v1/track', { traceparent: INCOMING, kind: 'server' });
  const delivered = await router.start('deliver', {
    ...parentOf(received),
    kind: 'client',
    attributes: { attempt: 2 },
  });
  await router.end(delivered.span, { attributes: { 'http.response.status_code': 200 } });
  await gateway.end(received.span);
  await Promise.all([gateway.shutdown(10_000), router.shutdown(10_000)]);

  const spans = await sink.waitForSpans((all) => all.length === 2);
  const server = named(spans, 'POST /v1/track');
  const client = named(spans, 'deliver');
  assert.equal(server.traceId, TRACE_ID);
  assert.equal(server.parentSpanId, '00f067aa0ba902b7');
  assert.equal(server.kind, 'server');
  assert.equal(client.traceId, TRACE_ID);
  assert.equal(client.parentSpanId, server.spanId);
  assert.equal(client.kind, 'client');
  assert.deepEqual(client.attributes, { attempt: 2, 'http.response.status_code': 200 });
  assert(client.endNanos >= client.startNanos);
  assert.equal(received.traceparent, `00-${TRACE_ID}-${server.spanId}-01`);
  assert.equal(server.resource['thread.name'], 'gateway');
  assert.equal(client.resource['thread.name'], 'router');
  assert.equal(client.resource['service.name'], 'sluice');
  assert.equal(client.scope, 'sluice');
  assert(!('process.command_args' in client.resource), 'expected the command line to stay at home');
});

test('starts a new trace without a parent and with one that is not valid', DEADLINE, async (t) => {
  const { sink, environment } = await setup(t);
  const thread = await startTelemetryThread(t, 'main', environment);
  const parents = [{}, { traceparent: INCOMING.toUpperCase() }, { traceparent: 'x'.repeat(55) }, { traceparent: '' }];
  for (const parent of parents) await thread.end((await thread.start('root', parent)).span);
  await thread.shutdown(10_000);
  const spans = await sink.waitForSpans((all) => all.length === parents.length);
  assert.deepEqual(new Set(spans.map((span) => span.parentSpanId)), new Set(['']));
  assert.equal(new Set(spans.map((span) => span.traceId)).size, parents.length);
  assert(spans.every((span) => span.traceId !== TRACE_ID));
});

test('keeps error, kinds and the first 128 links', DEADLINE, async (t) => {
  const { sink, environment } = await setup(t);
  const thread = await startTelemetryThread(t, 'storage', environment);
  const members = Array.from({ length: 130 }, (_, index) => {
    return `00-${TRACE_ID}-${(index + 1).toString(16).padStart(16, '0')}-01`;
  });
  const commit = await thread.start('commit', { kind: 'consumer', links: ['not a traceparent', ...members] });
  await thread.end(commit.span, { error: 'disk full' });
  await thread.end(commit.span, { error: 'ended twice' });
  await thread.end((await thread.start('send', { kind: 'producer' })).span);
  await thread.end((await thread.start('think')).span);
  await thread.shutdown(10_000);
  const spans = await sink.waitForSpans((all) => all.length === 3);
  const failed = named(spans, 'commit');
  assert.deepEqual(failed.status, { code: 'error', message: 'disk full' });
  assert.equal(failed.kind, 'consumer');
  assert.equal(failed.links.length, 127);
  assert.deepEqual(failed.links[0], { traceId: TRACE_ID, spanId: '0000000000000001' });
  assert.equal(named(spans, 'send').kind, 'producer');
  assert.equal(named(spans, 'think').kind, 'internal');
  assert.equal(named(spans, 'think').status.code, 'unset');
  assert.deepEqual(await thread.logged(), []);
});

test('carries on but does not record what the sender did not sample', DEADLINE, async (t) => {
  const { sink, environment } = await setup(t);
  const thread = await startTelemetryThread(t, 'main', environment);
  const unsampled = await thread.start('unsampled', { traceparent: INCOMING_UNSAMPLED });
  await thread.end(unsampled.span);
  await thread.end((await thread.start('sampled', { traceparent: INCOMING })).span);
  await thread.shutdown(10_000);
  assert.equal(unsampled.traceparent, INCOMING_UNSAMPLED);
  const spans = await sink.waitForSpans((all) => all.length > 0);
  assert.deepEqual(
    spans.map((span) => span.name),
    ['sampled'],
  );
});

test('honours the standard variables of sampler, service name and resource', DEADLINE, async (t) => {
  const { sink, environment } = await setup(t);
  const always = await startTelemetryThread(t, 'main', {
    ...environment,
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_SERVICE_NAME: 'events-eu',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  });
  const never = await startTelemetryThread(t, 'main', {
    ...environment,
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
  });
  const dropped = await never.start('never');
  await never.end(dropped.span);
  await never.shutdown(10_000);
  await always.end((await always.start('always', { traceparent: INCOMING_UNSAMPLED })).span);
  await always.shutdown(10_000);
  const spans = await sink.waitForSpans((all) => all.length > 0);
  assert.equal(spans.length, 1);
  const span = named(spans, 'always');
  assert.equal(span.traceId, TRACE_ID);
  assert.equal(span.resource['service.name'], 'events-eu');
  assert.equal(span.resource['deployment.environment.name'], 'test');
  assert.match(dropped.traceparent ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/, 'children must not be sampled either');
});

test('exports without being shut down, by the delay of the batch', DEADLINE, async (t) => {
  const { sink, environment } = await setup(t);
  const thread = await startTelemetryThread(t, 'main', { ...environment, OTEL_BSP_SCHEDULE_DELAY: '10' });
  await thread.end((await thread.start('soon')).span);
  await sink.waitForSpans((all) => all.length === 1);
});

test('loads no OpenTelemetry package without an endpoint, or when switched off', DEADLINE, async (t) => {
  const { environment } = await setup(t);
  const switchedOff = [
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: '' },
    { ...environment, OTEL_SDK_DISABLED: 'true' },
    { ...environment, OTEL_TRACES_EXPORTER: 'none' },
  ];
  for (const variables of switchedOff) {
    const thread = await startTelemetryThread(t, 'main', variables);
    assert.equal(thread.enabled, false);
    assert.equal((await thread.start('nothing')).traceparent, undefined);
    assert.equal((await thread.start('passed on', { traceparent: INCOMING })).traceparent, INCOMING);
    assert.equal((await thread.start('not valid', { traceparent: `${INCOMING}x` })).traceparent, undefined);
    await thread.shutdown(10_000);
    assert.deepEqual(await thread.loadedTelemetryPackages(), [], JSON.stringify(variables));
  }
  const enabled = await startTelemetryThread(t, 'main', environment);
  const loaded = await enabled.loadedTelemetryPackages();
  assert(loaded.includes('@opentelemetry/sdk-node'), 'this way of looking must be able to see a loaded package');
});

test('lives on with a dead collector and says so once', DEADLINE, async (t) => {
  const thread = await startTelemetryThread(t, 'main', {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await closedPort()}`,
    OTEL_EXPORTER_OTLP_TIMEOUT: '100',
    OTEL_BSP_MAX_QUEUE_SIZE: '8',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '4',
  });
  for (let count = 0; count < 200; count += 1) await thread.end((await thread.start('lost')).span);
  await thread.shutdown(10_000);
  const lines = await thread.logged();
  assert.equal(lines.length, 1, JSON.stringify(lines));
  assert.match(lines[0]?.text ?? '', /telemetry is not exported/);
});

test('shuts down by its deadline when the collector never answers', DEADLINE, async (t) => {
  const silent = createServer(() => undefined);
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const asked = once(silent, 'request');
  const thread = await startTelemetryThread(t, 'main', {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${portOf(silent)}`,
    OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
    OTEL_BSP_EXPORT_TIMEOUT: '600000',
  });
  await thread.end((await thread.start('stuck')).span);
  await thread.shutdown(50);
  await asked;
});

async function setup(t: TestContext) {
  const sink = await startOtlpSink(t);
  return { sink, environment: { OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint } };
}

function parentOf({ traceparent }: { traceparent: string | undefined }): { traceparent?: string } {
  return traceparent === undefined ? {} : { traceparent };
}

function named(spans: readonly OtlpSpan[], name: string): OtlpSpan {
  const found = spans.find((span) => span.name === name);
  assert(found !== undefined, `expected a span ${name}, got ${spans.map((span) => span.name)}`);
  return found;
}

async function closedPort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return port;
}

function portOf(server: ReturnType<typeof createServer>): number {
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  return address.port;
}
