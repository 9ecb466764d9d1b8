// Webhook sources by way of a transformer over real HTTP: its form, batches, answers of every kind, and its absence.

import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { type TestContext, test } from 'node:test';
import { Diagnostics } from '../../actors/services/diagnostics.ts';
import { ServiceClient } from '../../actors/services/service-client.ts';
import { ServiceHealth } from '../../actors/services/service-health.ts';
import { TransformerFeaturesPoll, transformerName } from '../../actors/services/transformer-features.ts';
import {
  builtInWebhookSources,
  isGenericWebhook,
  type WebhookOutcome,
  type WebhookRequest,
} from '../../actors/services/webhook-sources.ts';
import { WebhookTransformer } from '../../actors/services/webhook-transformer.ts';
import type { SourceConfig } from '../../actors/services/workspace.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { realSeams } from '../../runtime/seams.ts';
import { silentLog } from '../support/database.ts';
import { type Answer, type FakeDestination, startDestination } from '../support/fake-destination.ts';
import { makeSource } from '../support/workspace-objects.ts';

const { clock, random } = realSeams();
const parts = { clock, log: { ...silentLog, debug: () => undefined }, metrics: createMetrics() };
const shop: SourceConfig = {
  ...makeSource('s1', []),
  sourceDefinition: { id: 'd', name: 'Shopify', category: 'webhook', type: 'cloud' },
};

/** A destination of the tests, as the transformer. */
async function setup(t: TestContext, answer: (input: unknown[]) => Answer, version: 'v1' | 'v2' = 'v2') {
  const server = await startDestination(t);
  server.respond(({ body }) => answer(JSON.parse(body.toString()) as unknown[]));
  const client = new ServiceClient({ name: transformerName, answerBytesMax: 64 * 1024, connectionsMax: 4 });
  t.after(() => client.close());
  const health = new ServiceHealth('webhook-transformer', parts);
  const sources = new WebhookTransformer({
    client,
    url: server.url(''),
    timeoutMs: 2_000,
    features: () => ({ sourceTransform: version }),
    builtIn: builtInWebhookSources(),
    isBuiltIn: isGenericWebhook,
    health,
    clock,
    random,
  });
  const ask = (body: string, changes: Partial<WebhookRequest> = {}): Promise<WebhookOutcome> =>
    new Promise((settle) => {
      const bytes = Buffer.from(body);
      const request = {
        method: 'POST',
        path: '/v1/webhook',
        query: 'a=1&a=2',
        headers: {},
        remoteAddress: '::1',
        body: bytes,
      };
      sources.transform(shop, { ...request, ...changes }, settle);
    });
  return { server, ask, health };
}

const good = (items: unknown): Answer => ({ status: 200, body: JSON.stringify(items), headers: { apiVersion: '2' } });
const event = { type: 'track', event: 'Order', userId: 'u' };

function batchOf(outcome: WebhookOutcome): unknown {
  return outcome.kind === 'events' ? JSON.parse(outcome.body.toString()) : outcome;
}

function pathsOf({ deliveries }: FakeDestination): string[] {
  return deliveries.map(({ path }) => path);
}

test('a request is sent in the form of the transformer, and its events come back', async (t) => {
  const inputs: unknown[] = [];
  const { server, ask, health } = await setup(t, (input) => {
    inputs.push(...input);
    return good([{ output: { batch: [event] } }]);
  });
  assert.deepEqual(batchOf(await ask('{"order":1}', { headers: { 'user-agent': 'x' } })), { batch: [event] });
  assert.deepEqual(pathsOf(server), ['/v2/sources/shopify']);
  const [{ request, source }] = inputs as [{ request: Record<string, unknown>; source: Record<string, unknown> }];
  assert.deepEqual(request, {
    method: 'POST',
    url: '/v1/webhook?a=1&a=2',
    proto: 'HTTP/1.1',
    body: '{"order":1}',
    headers: { 'user-agent': ['x'] },
    query_parameters: { a: ['1', '2'] },
  });
  assert.deepEqual([source.ID, source.WriteKey], ['s1', shop.writeKey]);
  assert.equal(health.status().state, 'working');
});

test('an older transformer gets the older form', async (t) => {
  const inputs: unknown[] = [];
  const answer = (input: unknown[]): Answer => {
    inputs.push(...input);
    return good([{ output: { batch: [event] } }]);
  };
  const { server, ask } = await setup(t, answer, 'v1');
  await ask('a=1', { headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  assert.deepEqual(pathsOf(server), ['/v1/sources/shopify']);
  assert.deepEqual((inputs as { event: unknown }[])[0]?.event, { a: '1' });
});

test('requests that come together go together, and each gets the answer meant for it', async (t) => {
  const { server, ask } = await setup(t, (input) =>
    good(
      (input as { request: { body: string } }[]).map(({ request: { body } }) => {
        if (body === '"bad"') return { statusCode: 422, error: 'no order' };
        if (body === '"ping"')
          return { outputToSource: { body: Buffer.from('pong').toString('base64'), contentType: 'a/b' } };
        if (body === '"empty"') return {};
        return { output: { batch: [{ ...event, userId: body }] } };
      }),
    ),
  );
  const outcomes = await Promise.all(['"one"', '"bad"', '"ping"', '"empty"', '{'].map((body) => ask(body)));
  assert.equal(server.deliveries.length, 1);
  assert.deepEqual(batchOf(outcomes[0] ?? { kind: 'answered', reply: undefined }), {
    batch: [{ ...event, userId: '"one"' }],
  });
  assert.deepEqual(outcomes.slice(1), [
    { kind: 'refused', status: 422, text: 'no order' },
    { kind: 'answered', reply: { body: Buffer.from('pong'), contentType: 'a/b' } },
    { kind: 'refused', status: 500, text: 'output not found in source transformer response' },
    { kind: 'refused', status: 400, text: 'invalid json' },
  ]);
});

test('a batch that is refused as a whole is tried one by one', async (t) => {
  const { ask } = await setup(t, (input) => {
    const bodies = (input as { request: { body: string } }[]).map(({ request }) => request.body);
    return bodies.includes('"bad"') ? { status: 413, body: 'too large' } : good([{ output: { batch: [event] } }]);
  });
  const [first, second] = await Promise.all([ask('"good"'), ask('"bad"')]);
  assert.deepEqual(batchOf(first), { batch: [event] });
  assert.deepEqual(second, { kind: 'refused', status: 413, text: 'source transformer refused' });
});

test('a transformer that fails is asked again, and one that answers nonsense is not', async (t) => {
  let calls = 0;
  const { ask, health } = await setup(t, () => {
    calls += 1;
    return calls < 3 ? 503 : good([{ output: { batch: [event] } }]);
  });
  assert.deepEqual(batchOf(await ask('{}')), { batch: [event] });
  assert.equal(calls, 3);
  for (const answer of [good('no list'), good([]), { status: 200, body: '[]' }]) {
    const strange = await setup(t, () => answer);
    const outcome = await strange.ask('{}');
    assert.deepEqual([outcome.kind, strange.server.deliveries.length], ['refused', 1]);
  }
  assert.equal(health.status().state, 'working');
});

test('features are followed, and the last ones stay while the transformer is away', async (t) => {
  const server = await startDestination(t);
  const client = new ServiceClient({ name: transformerName, answerBytesMax: 64 * 1024 });
  t.after(() => client.close());
  const health = new ServiceHealth('transformer-features', parts);
  const options = { client, url: server.url(''), pollMs: 3_600_000, timeoutMs: 2_000, health, clock, random };
  const features = new TransformerFeaturesPoll(options);
  t.after(() => features.close());
  assert.equal(features.current.sourceTransform, 'v2');
  server.respond(() => good({ supportSourceTransformV1: true }));
  assert.equal(await features.now(), true);
  assert.equal(features.current.sourceTransform, 'v1');
  for (const answer of [500, good([]), { status: 200, body: '{' }]) {
    server.respond(() => answer);
    assert.equal(await features.now(), false);
    assert.equal(features.current.sourceTransform, 'v1');
    assert.equal(health.status().state, 'degraded');
  }
  server.respond(() => 404);
  assert.equal(await features.now(), true);
  assert.equal(features.current.sourceTransform, 'v2');
});

test('diagnostics tell figures of the program and nothing else, and do not mind being refused', async (t) => {
  const server = await startDestination(t);
  const client = new ServiceClient({ name: 'the data plane of diagnostics', answerBytesMax: 1024 });
  t.after(() => client.close());
  const diagnostics = new Diagnostics({
    client,
    url: server.url(''),
    writeKey: 'wk',
    everyMs: 3_600_000,
    timeoutMs: 2_000,
    anonymousId: 'process',
    version: '1.2.3',
    figures: () => ({ requestsAccepted: 7 }),
    newId: () => 'm1',
    health: new ServiceHealth('diagnostics', parts),
    clock,
    random,
  });
  t.after(() => diagnostics.close());
  server.respond(() => 500);
  assert.equal(await diagnostics.now(), false);
  server.respond(() => 200);
  assert.equal(await diagnostics.now(), true);
  assert.equal(await diagnostics.now(), true);
  const sent = server.deliveries.map(({ headers, body }: { headers: IncomingHttpHeaders; body: Buffer }) => {
    const { batch } = JSON.parse(body.toString()) as { batch: { event: string; properties: unknown }[] };
    return [headers.authorization, batch[0]?.event, batch[0]?.properties];
  });
  const figures = { version: '1.2.3', requestsAccepted: 7 };
  const credentials = `Basic ${Buffer.from('wk:').toString('base64')}`;
  assert.deepEqual(sent, [
    [credentials, 'server start', figures],
    [credentials, 'server start', figures],
    [credentials, 'gateway figures', figures],
  ]);
});
