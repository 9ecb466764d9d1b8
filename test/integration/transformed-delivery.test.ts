// Deliveries that the remote transformer has a part in: how jobs are asked about, sent, put together and passed on to
// its proxy, and that one which is away holds nothing else back.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RequestDescriptor } from '../../actors/job.ts';
import type { Delivery, DeliveryOutcome, DeliveryRequest } from '../../actors/router/delivery.ts';
import { TransformedDelivery, type TransformedDeliveryOptions } from '../../actors/router/transformed-delivery.ts';
import { WorkspaceHolder } from '../../actors/services/workspace.ts';
import { noTransformationCode, type TransformerJob, untransformedRequest } from '../../actors/transformer/contract.ts';
import { TestTransformer } from '../support/test-transformer.ts';
import { clientOf, jobOf } from '../support/transformer-jobs.ts';
import { makeDestination, makeSnapshot, makeSource } from '../support/workspace-objects.ts';

const url = 'http://127.0.0.1:9/hook';

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
