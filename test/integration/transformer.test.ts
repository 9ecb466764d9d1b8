// The remote transformer over real HTTP: the same cases come out as they do without it, and whatever is wrong with it
// costs no job and reaches nobody who does not need it.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { completeRequest } from '../../actors/destinations/destination.ts';
import { compileDestination } from '../../actors/destinations/registry.ts';
import type { Job, RequestDescriptor } from '../../actors/job.ts';
import type { Delivery, DeliveryOutcome, DeliveryRequest } from '../../actors/router/delivery.ts';
import { TransformedDelivery, type TransformedDeliveryOptions } from '../../actors/router/transformed-delivery.ts';
import { type DestinationConfig, WorkspaceHolder } from '../../actors/services/workspace.ts';
import { noTransformationCode, type TransformerJob, untransformedRequest } from '../../actors/transformer/contract.ts';
import { TransformerClient } from '../../actors/transformer/transformer-client.ts';
import { type Clock, realSeams } from '../../runtime/seams.ts';
import { TestTransformer, type TransformerFault } from '../support/test-transformer.ts';
import { makeDestination, makeSnapshot, makeSource } from '../support/workspace-objects.ts';

const { clock: realClock, random } = realSeams();
/** Pauses between two asks are shortened; deadlines are the HTTP client's and stay. */
const clock: Clock = {
  nowMs: () => realClock.nowMs(),
  monotonicMs: () => realClock.monotonicMs(),
  setTimer: (delayMs, run) => realClock.setTimer(delayMs / 100, run),
};
const patientMs = 20_000;
const receivedAtMs = Date.UTC(2026, 0, 1);
const told = { source_id: 'src', destination_id: 'dst', workspace_id: 'ws-1', event_type: 'track' };

function clientOf(t: TestContext, url: string, timeoutMs = patientMs): TransformerClient {
  const options = {
    url,
    deliveryUrl: '',
    pollMs: 60_000,
    timeoutMs,
    answerBytesMax: 1_000_000,
    clock,
    random: () => random.next(),
  };
  const client = new TransformerClient(options);
  t.after(() => client.close());
  return client;
}

function jobOf(jobId: number, event: object): TransformerJob {
  const job: Job = {
    jobId,
    parentId: jobId,
    partition: 'dst',
    userId: '<<>>anna<<>>',
    messageId: `m${jobId}`,
    receivedAtMs,
    parameters: '',
    payload: Buffer.from(JSON.stringify(event)),
  };
  return { job, parameters: told, attempts: 1, firstAttemptedAtMs: receivedAtMs };
}

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

interface DeliverySetup {
  transformer: TestTransformer;
  sent: DeliveryRequest[];
  deliver(jobs: readonly TransformerJob[], request?: RequestDescriptor): Promise<DeliveryOutcome[]>;
}

async function deliverySetup(
  t: TestContext,
  options: Partial<TransformedDeliveryOptions> & { answer?(sent: DeliveryRequest): number; transformAt?: string } = {},
): Promise<DeliverySetup> {
  const transformer = await TestTransformer.start(t);
  const workspace = new WorkspaceHolder();
  const { transformAt = 'processor', answer = () => 200, ...others } = options;
  const destinationDefinition = { id: 'dd', name: 'WEBHOOK', displayName: '', config: { transformAtV1: transformAt } };
  const destination = makeDestination('dst', { destinationDefinition, config: { webhookUrl: url } });
  workspace.publish(makeSnapshot([makeSource('src', [destination])]));
  const sent: DeliveryRequest[] = [];
  const inner: Delivery = {
    send(request, done) {
      sent.push(request);
      queueMicrotask(() => done({ code: answer(request), response: '', contentType: '', retryAfterMs: undefined }));
    },
    release: () => undefined,
  };
  const delivery = new TransformedDelivery({
    inner,
    client: clientOf(t, transformer.url),
    workspace,
    jobsMax: 100,
    proxyTypes: new Set(),
    batchTypes: new Set(),
    proxyTimeoutMs: 1_000,
    ...others,
  });
  const deliver = (jobs: readonly TransformerJob[], request = untransformedRequest) =>
    Promise.all(
      jobs.map((about) => {
        const idempotencyKey = `key-${about.job.jobId}`;
        const own = { poolKey: 'dst', request, body: about.job.payload, idempotencyKey, traceparent: undefined };
        return new Promise<DeliveryOutcome>((settle) =>
          delivery.send(
            { ...own, signingKeys: [], destination: undefined, jobs: 1, keepsAnswer: false, about },
            settle,
          ),
        );
      }),
    );
  return { transformer, sent, deliver };
}

const codesOf = (outcomes: readonly DeliveryOutcome[]): number[] => outcomes.map(({ code }) => code);

test('jobs of one turn are asked about together; one that fails among others is asked about alone', async (t) => {
  const { transformer, sent, deliver } = await deliverySetup(t);
  const jobs = [1, 2, 3].map((id) => jobOf(id, { n: id }));
  transformer.fault = ({ path, body }) => {
    const isBad = path !== '/features' && JSON.stringify(body).includes('"n":2');
    return isBad ? { kind: 'status', status: 500 } : undefined;
  };
  const first = await deliver(jobs);
  assert.deepEqual(codesOf(first), [599, 599, 599]);
  assert.ok(first.every(({ isBlameless, stage }) => isBlameless === true && stage === 'router_dest_transformer'));
  assert.equal(sent.length, 0);
  const again = await deliver(jobs);
  assert.deepEqual(codesOf(again), [200, 500, 200]);
  assert.deepEqual(
    again.map(({ isBlameless }) => isBlameless ?? false),
    [false, false, false],
  );
  assert.deepEqual(
    sent.map(({ idempotencyKey }) => idempotencyKey),
    ['key-1', 'key-3'],
  );
});

test('a transformer that is not there holds the jobs that need it back, and nothing else', async (t) => {
  const { transformer, sent, deliver } = await deliverySetup(t);
  transformer.stop();
  const plain: RequestDescriptor = { method: 'POST', endpoint: url, headers: {}, params: {}, format: 'JSON' };
  assert.deepEqual(codesOf(await deliver([jobOf(1, { n: 1 })], plain)), [200]);
  const [held] = await deliver([jobOf(2, { n: 2 })]);
  assert.deepEqual([held?.code, held?.isBlameless], [noTransformationCode, true]);
  assert.equal(sent.length, 1);
});

test('the router transform may put jobs into one request and one job into several', async (t) => {
  const { transformer, sent, deliver } = await deliverySetup(t, { transformAt: 'router' });
  transformer.features = { routerTransform: { WEBHOOK: true } };
  const output = { type: 'REST', method: 'POST', endpoint: url, body: { JSON_ARRAY: { batch: '[1]' } } };
  transformer.rule = ({ message }) =>
    message.event === 'filtered'
      ? [{ statusCode: 298, error: 'no' }]
      : message.event === 'two'
        ? [
            { output, statusCode: 200 },
            { output: { ...output, endpoint: `${url}/2` }, statusCode: 200 },
          ]
        : [{ output, statusCode: 200 }];
  const events = ['same', 'same', 'filtered', 'two'].map((event, index) => jobOf(index + 1, { event }));
  assert.deepEqual(codesOf(await deliver(events)), [200, 200, 298, 200]);
  assert.deepEqual(sent.map(({ request, body }) => [request.endpoint, Buffer.from(body).toString()]).sort(), [
    [url, '[1]'],
    [url, '[1]'],
    [`${url}/2`, '[1]'],
  ]);
  assert.deepEqual(new Set(sent.map(({ idempotencyKey }) => idempotencyKey)).size, 3);
  assert.deepEqual(
    transformer.asked().map(({ path }) => path),
    ['/routerTransform'],
  );
});

for (const kind of ['duplicate', 'too few', 'unknown job'] as const) {
  test(`a router transform with ${kind} ids sends nothing`, async (t) => {
    const { transformer, sent, deliver } = await deliverySetup(t, { transformAt: 'router' });
    transformer.features = { routerTransform: { WEBHOOK: true } };
    transformer.fault = ({ path }) => (path === '/features' ? undefined : { kind });
    const jobs = ['a', 'b'].map((event, index) => jobOf(index + 1, { event }));
    assert.deepEqual(codesOf(await deliver(jobs)), [599, 599]);
    assert.equal(sent.length, 0);
  });
}

test('the first of several requests that fails ends them', async (t) => {
  const { transformer, sent, deliver } = await deliverySetup(t, { answer: () => 503 });
  const output = { type: 'REST', method: 'POST', endpoint: url, body: { JSON: { a: 1 } } };
  transformer.rule = () => [
    { output, statusCode: 200 },
    { output, statusCode: 200 },
  ];
  const [outcome] = await deliver([jobOf(1, {})]);
  assert.deepEqual([outcome?.code, outcome?.isBlameless, sent.length], [503, undefined, 1]);
});

const made: RequestDescriptor = { method: 'POST', endpoint: url, headers: { 'x-a': '1' }, params: {}, format: 'JSON' };

test('requests made here may be put together by the transformer', async (t) => {
  const { transformer, sent, deliver } = await deliverySetup(t, { batchTypes: new Set(['WEBHOOK']) });
  assert.deepEqual(codesOf(await deliver([jobOf(1, { n: 1 }), jobOf(2, { n: 2 })], made)), [200, 200]);
  const [asked] = transformer.asked();
  assert.equal(asked?.path, '/batch');
  const { input } = (asked?.body ?? {}) as { input: { message: { body: { JSON: object } } }[] };
  assert.deepEqual(
    input.map(({ message }) => message.body.JSON),
    [{ n: 1 }, { n: 2 }],
  );
  assert.deepEqual(
    sent.map(({ request, body }) => [request, Buffer.from(body).toString()]),
    [
      [made, '{"n":1}'],
      [made, '{"n":2}'],
    ],
  );
});

for (const version of ['v0', 'v1'] as const) {
  test(`the transformer delivers by its proxy in form ${version}`, async (t) => {
    const { transformer, sent, deliver } = await deliverySetup(t, { proxyTypes: new Set(['WEBHOOK']) });
    transformer.features = { supportTransformerProxyV1: version === 'v1' };
    if (version === 'v1') transformer.proxied = () => ({ statusCode: 429, error: 'slow down' });
    const [outcome] = await deliver([jobOf(1, { n: 1 })], made);
    assert.equal(sent.length, 0);
    assert.deepEqual([outcome?.code, outcome?.response], version === 'v1' ? [429, 'slow down'] : [200, '']);
    const [asked] = transformer.asked();
    assert.equal(asked?.path, `/${version}/destinations/webhook/proxy`);
    assert.equal(asked?.headers['rdproxy-timeout'], '1000');
    const { metadata, body } = (asked?.body ?? {}) as { metadata: unknown; body: { JSON: object } };
    assert.deepEqual([Array.isArray(metadata), body.JSON], [version === 'v1', { n: 1 }]);
  });
}

test('a proxy that is away or leaves a job out fails it for later, and is not asked twice', async (t) => {
  const { transformer, deliver } = await deliverySetup(t, { proxyTypes: new Set(['WEBHOOK']) });
  transformer.features = { supportTransformerProxyV1: true };
  transformer.fault = ({ path }) => (path === '/features' ? undefined : { kind: 'status', status: 502 });
  assert.deepEqual(codesOf(await deliver([jobOf(1, {})], made)), [502]);
  assert.equal(transformer.asked().length, 1);
  transformer.fault = ({ path }) => (path === '/features' ? undefined : { kind: 'no json' });
  assert.deepEqual(codesOf(await deliver([jobOf(2, {})], made)), [500]);
});
