// The remote transformer over real HTTP: the same cases come out as they do without it, and whatever is wrong with it
// costs no job and reaches nobody who does not need it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeRequest } from '../../actors/destinations/destination.ts';
import { compileDestination } from '../../actors/destinations/registry.ts';
import type { RequestDescriptor } from '../../actors/job.ts';
import type { DestinationConfig } from '../../actors/services/workspace.ts';
import type { TransformerJob } from '../../actors/transformer/contract.ts';
import type { TransformerClient } from '../../actors/transformer/transformer-client.ts';
import { TestTransformer, type TransformerFault } from '../support/test-transformer.ts';
import { clientOf, jobOf, patientMs, receivedAtMs } from '../support/transformer-jobs.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

function chunkOf(jobs: readonly TransformerJob[], destination: DestinationConfig) {
  const source = makeSource('src', [destination]);
  return { jobs, destination, sourceById: () => source, isAlone: false };
}

interface Seen {
  code: number;
  reason: string;
  request?: RequestDescriptor;
  body?: unknown;
}

function seen({ batch: _, ...request }: RequestDescriptor, body: Uint8Array): Seen {
  const text = Buffer.from(body).toString();
  // A list has a form of its own on the wire, and is sent the same.
  const format = request.format === 'JSON_ARRAY' ? 'JSON' : request.format;
  return { code: 200, reason: '', request: { ...request, format }, body: format === 'JSON' ? JSON.parse(text) : text };
}

function embedded(destination: DestinationConfig, event: Record<string, unknown>): Seen {
  const metadata = { sourceId: 'src', destinationId: destination.id, messageId: 'm1', receivedAtMs };
  const result = compileDestination(destination).transform(event, metadata);
  if (result.kind === 'filtered') return { code: 298, reason: '' };
  if (result.kind === 'aborted') return { code: result.code, reason: result.reason };
  const body = result.body === 'event' ? Buffer.from(JSON.stringify(event)) : result.body;
  return seen(completeRequest(JSON.parse(result.request)), body);
}

async function remote(client: TransformerClient, destination: DestinationConfig, event: object): Promise<Seen> {
  const [group] = await client.transform(chunkOf([jobOf(1, event)], destination));
  const [output] = group?.requests ?? [];
  if (output !== undefined) return seen(output.request, output.body);
  return { code: group?.code ?? 0, reason: group?.code === 298 ? '' : (group?.reason ?? '') };
}

const url = 'http://127.0.0.1:9/hook';
const cases: readonly { name: string; config: Record<string, unknown>; event: Record<string, unknown> }[] = [
  { name: 'a plain event', config: { webhookUrl: url }, event: { type: 'track', event: 'Order', userId: 'u' } },
  {
    name: 'unusual texts and numbers',
    config: { webhookUrl: url, webhookMethod: 'PUT' },
    event: { type: 'track', event: 'ünï "quoted" \\ \u2028', properties: { total: 1e21, zero: -0.5, list: [1, null] } },
  },
  {
    name: 'a query',
    config: { webhookUrl: url, webhookMethod: 'GET' },
    event: { type: 'track', event: 'Order', properties: { a: 1, b: { c: 'x' } } },
  },
  {
    name: 'headers, some of the event',
    config: { webhookUrl: url, headers: [{ from: 'x-shop', to: '{{ event.properties.shop || "main" }}' }] },
    event: { type: 'track', event: 'Order', properties: { shop: 'north' } },
  },
  { name: 'settings that cannot be used', config: { webhookUrl: '' }, event: { type: 'track', event: 'Order' } },
];

/** Every type that is sent over HTTP, by settings with which it delivers something. */
const types: Readonly<Record<string, Record<string, unknown>>> = {
  SEGMENT: { writeKey: 'wk' },
  SLACK: { webhookUrl: url, identifyTemplate: '{{traits.email}} {{traitsList}}' },
  DISCORD: { webhookUrl: url, embedFlag: true, embedTitleTemplate: '{{propertiesList}}' },
  POSTHOG: { teamApiKey: 'key' },
  HTTP: {
    apiUrl: 'https://example.com/v1?a=b',
    method: 'PUT',
    format: 'XML',
    queryParams: [{ to: 'q', from: '$.properties.total' }],
    propertiesMapping: [{ to: '$.a.b', from: '$.properties.total' }],
  },
  AM: { apiKey: 'key', traitsToSetOnce: [{ traits: 'email' }] },
  MP: { token: 'token' },
  GA4: { apiSecret: 'secret', measurementId: 'G-1' },
  CUSTOMERIO: { siteID: 'site', apiKey: 'key' },
};

const common = {
  userId: 'u-1',
  anonymousId: 'a-1',
  messageId: 'm1',
  timestamp: '2026-03-01T00:00:00.000Z',
  originalTimestamp: '2026-03-01T00:00:00.000Z',
  context: { traits: { email: 'anna@example.com' }, ip: '203.0.113.7' },
};
const samples: readonly Record<string, unknown>[] = [
  { ...common, type: 'track', event: 'Order Completed', properties: { total: 12.5, order_id: 'o', products: [] } },
  { ...common, type: 'identify', traits: { email: 'anna@example.com', name: 'Anna' } },
  { ...common, type: 'page', name: 'Home', properties: { url: 'https://example.com/', title: 'Home' } },
  { ...common, type: 'group', groupId: 'g', traits: { name: 'Acme' } },
  { ...common, type: 'alias', previousId: 'a-1' },
  { type: 'something' },
];

test('every type that is sent over HTTP comes out the same embedded and remote', async (t) => {
  const transformer = await TestTransformer.start(t);
  const client = clientOf(t, transformer.url);
  for (const [name, config] of Object.entries(types)) {
    const destinationDefinition = { id: 'dd', name, displayName: name, config: {} };
    const destination = makeDestination('dst', { config, destinationDefinition });
    for (const event of samples) {
      const here = embedded(destination, event);
      assert.deepEqual(await remote(client, destination, event), here, `${name} ${JSON.stringify(event.type)}`);
    }
  }
});

for (const isCompacted of [false, true]) {
  const form = isCompacted ? 'compacted' : 'plain';
  test(`events become the same requests embedded and remote, in the ${form} form`, async (t) => {
    const transformer = await TestTransformer.start(t);
    transformer.features = { supportDestTransformCompactedPayloadV1: isCompacted };
    const client = clientOf(t, transformer.url);
    for (const { name, config, event } of cases) {
      const destination = makeDestination('dst', { config });
      assert.deepEqual(await remote(client, destination, event), embedded(destination, event), name);
    }
    const [first] = transformer.asked();
    assert.equal(first?.path, '/v0/destinations/webhook');
    assert.equal(first?.headers['x-feature-filter-code'], '?1');
    assert.equal(first?.headers['x-content-format'], isCompacted ? 'json+compactedv1' : undefined);
    const body = first?.body as Record<string, unknown>[] & { input?: unknown; destinations?: unknown };
    assert.deepEqual(Object.keys(isCompacted ? body : (body[0] ?? {})), [
      ...(isCompacted
        ? ['input', 'destinations', 'connections']
        : ['message', 'metadata', 'destination', 'connection']),
    ]);
  });
}

test('an event may become several requests, none, or some and a refusal', async (t) => {
  const transformer = await TestTransformer.start(t);
  transformer.rule = ({ message }) => {
    const output = { type: 'REST', method: 'POST', endpoint: url, body: { FORM: { n: message.n } } };
    if (message.n === 0) return [{ statusCode: 298, error: 'not wanted' }];
    if (message.n === 1) return [{ statusCode: 200, output }];
    return [
      { statusCode: 200, output },
      { statusCode: 200, output: { ...output, endpoint: `${url}/2` } },
      ...(message.n === 3 ? [{ statusCode: 400, error: 'half of it is bad' }] : []),
    ];
  };
  const jobs = [0, 1, 2, 3].map((n) => jobOf(n + 1, { n }));
  const groups = await clientOf(t, transformer.url).transform(chunkOf(jobs, makeDestination('dst')));
  const shown = groups.map(({ code, requests }) => [code, requests.map(({ request }) => request.endpoint)]);
  assert.deepEqual(shown, [
    [298, []],
    [200, [url]],
    [200, [url, `${url}/2`]],
    [400, [url, `${url}/2`]],
  ]);
});

const faults: readonly { fault: TransformerFault; one: number; several: number; reason: RegExp }[] = [
  { fault: { kind: 'status', status: 500 }, one: 500, several: 599, reason: /status 200, got 500/ },
  { fault: { kind: 'status', status: 503 }, one: 599, several: 599, reason: /status 200, got 503/ },
  { fault: { kind: 'status', status: 809 }, one: 599, several: 599, reason: /status 200, got 809/ },
  { fault: { kind: 'status', status: 429 }, one: 599, several: 599, reason: /status 200, got 429/ },
  { fault: { kind: 'status', status: 404 }, one: 404, several: 404, reason: /answered 404: no luck/ },
  { fault: { kind: 'status', status: 413 }, one: 413, several: 599, reason: /answered 413/ },
  { fault: { kind: 'wrong version' }, one: 599, several: 599, reason: /apiVersion 2, got 1/ },
  { fault: { kind: 'truncated' }, one: 500, several: 599, reason: /whole answer/ },
  { fault: { kind: 'no json' }, one: 500, several: 599, reason: /expected JSON/ },
  { fault: { kind: 'too few' }, one: 500, several: 599, reason: /an answer for job 1, got none/ },
  { fault: { kind: 'unknown job' }, one: 500, several: 599, reason: /got 4711/ },
  { fault: { kind: 'huge' }, one: 500, several: 599, reason: /whole answer/ },
  { fault: { kind: 'hang' }, one: 599, several: 599, reason: /did not answer within/ },
];

for (const { fault, one, several, reason } of faults) {
  const name = fault.kind === 'status' ? `status ${fault.status}` : fault.kind;
  test(`a transformer with ${name} ends one event with ${one} and each of several with ${several}`, async (t) => {
    const transformer = await TestTransformer.start(t);
    transformer.fault = ({ path }) => (path === '/features' ? undefined : fault);
    const client = clientOf(t, transformer.url, fault.kind === 'hang' ? 200 : patientMs);
    const destination = makeDestination('dst');
    const alone = await client.transform(chunkOf([jobOf(1, { n: 1 })], destination));
    assert.deepEqual(
      alone.map(({ code }) => code),
      [one],
    );
    const groups = await client.transform(chunkOf([jobOf(1, { n: 1 }), jobOf(2, { n: 2 })], destination));
    assert.deepEqual(
      groups.map(({ code }) => code),
      [several, several],
    );
    assert.match(groups[0]?.reason ?? '', reason);
    // Who may be innocent is asked about alone the next time.
    const isUnsure = one !== several;
    assert.equal(groups[0]?.mustBeAlone, isUnsure);
  });
}

test('a transformer that stumbles is asked again at once, and the jobs notice nothing', async (t) => {
  const transformer = await TestTransformer.start(t);
  let asked = 0;
  transformer.fault = ({ path }) => {
    if (path === '/features') return undefined;
    asked += 1;
    if (asked === 1) return { kind: 'status', status: 503, headers: { 'x-rudder-should-retry': 'true' } };
    return asked === 2 ? { kind: 'truncated' } : undefined;
  };
  const [group] = await clientOf(t, transformer.url).transform(chunkOf([jobOf(1, { n: 1 })], makeDestination('dst')));
  assert.deepEqual([group?.code, asked], [200, 3]);
});
