// One trace per event, from the HTTP request over the processor to the delivery, continuing the caller's; and none of
// it, nor any cost, when no endpoint is configured.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { post, track } from '../support/gateway-client.ts';
import type { OtlpSpan } from '../support/otlp-messages.ts';
import { startOtlpSink } from '../support/otlp-sink.ts';
import { startPipeline, writeKey } from '../support/pipeline.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const callerSpanId = '00f067aa0ba902b7';
const traceparent = `00-${traceId}-${callerSpanId}-01`;

/** From a span up to the caller. */
function ancestors(spans: readonly OtlpSpan[], span: OtlpSpan): string[] {
  const names = [span.name];
  for (let at: OtlpSpan | undefined = span; at !== undefined; ) {
    const parent: OtlpSpan | undefined = spans.find(({ spanId }) => spanId === at?.parentSpanId);
    if (parent !== undefined) names.push(parent.name);
    at = parent;
  }
  return names;
}

test("an event is one trace from request to delivery that continues the caller's", { timeout: 120_000 }, async (t) => {
  const sink = await startOtlpSink(t);
  const { program, destination } = await startPipeline(t, {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint, OTEL_BSP_SCHEDULE_DELAY: '100' },
  });
  const answer = await post(`${program.gatewayUrl}/v1/track`, track('anna', 1), { writeKey, headers: { traceparent } });
  assert.equal(answer.status, 200);
  await destination.waitForAccepted(1);
  await program.stop();
  const spans = sink.spans().filter((span) => span.traceId === traceId);

  const root = spans.find(({ parentSpanId }) => parentSpanId === callerSpanId);
  assert.equal(root?.kind, 'server', "the request's span is the child of the caller's");
  const delivery = spans.find(({ kind }) => kind === 'client');
  assert.ok(delivery !== undefined, `expected a span of the delivery, got ${spans.map(({ name }) => name).join(', ')}`);
  const chain = ancestors(spans, delivery);
  assert.ok(chain.length >= 3, `expected request, processor and delivery, got ${chain.join(' < ')}`);
  assert.equal(chain.at(-1), root?.name);
  const sent = String(destination.deliveries[0]?.headers.traceparent);
  assert.equal(sent.slice(0, 35), `00-${traceId}`, 'the destination can continue the trace');
  assert.equal(sent.slice(36, 52), delivery.spanId);
});

test('events of one batch are traced apart when they come without a traceparent', { timeout: 120_000 }, async (t) => {
  const sink = await startOtlpSink(t);
  const { program, destination } = await startPipeline(t, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint } });
  for (const sequence of [0, 1]) {
    await post(`${program.gatewayUrl}/v1/track`, track('anna', sequence), { writeKey });
  }
  await destination.waitForAccepted(2);
  await program.stop();
  const traces = new Set(
    sink
      .spans()
      .filter(({ kind }) => kind === 'client')
      .map((span) => span.traceId),
  );
  assert.equal(traces.size, 2);
});

test("without an endpoint nothing is exported, and the caller's trace is still passed on", {
  timeout: 120_000,
}, async (t) => {
  const sink = await startOtlpSink(t);
  const { program, destination } = await startPipeline(t);
  await post(`${program.gatewayUrl}/v1/track`, track('anna', 1), { writeKey, headers: { traceparent } });
  await destination.waitForAccepted(1);
  await program.stop();
  assert.deepEqual(sink.spans(), []);
  assert.equal(destination.deliveries[0]?.headers.traceparent, traceparent);
});
