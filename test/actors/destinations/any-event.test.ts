// What holds for every destination type, whatever somebody sends: a transform never throws, never changes the event,
// says why it delivers nothing, and makes requests that can be sent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EventObject, TransformResult } from '../../../actors/destinations/destination.ts';
import { completeRequest, invalidRequest } from '../../../actors/destinations/destination.ts';
import { destinationTypes } from '../../../actors/destinations/registry.ts';
import { dialects } from '../../../actors/destinations/warehouse/dialects.ts';
import type { RequestDescriptor } from '../../../actors/job.ts';
import { goldenMetadata, transformer } from '../../support/destinations.ts';
import { makeDestination } from '../../support/workspace-objects.ts';

const aws = { region: 'eu-west-1', accessKeyID: 'k', secretAccessKey: 's' };

/** Settings with which each type delivers something. */
const settings: Readonly<Record<string, Record<string, unknown>>> = {
  WEBHOOK: { webhookUrl: 'https://example.com/', headers: [{ from: 'x-user', to: '{{ event.userId || none }}' }] },
  SEGMENT: { writeKey: 'wk' },
  SLACK: { webhookUrl: 'https://example.com/', identifyTemplate: '{{traits.a}} {{traitsList}} {{properties.b.c}}' },
  DISCORD: { webhookUrl: 'https://example.com/', embedFlag: true, embedTitleTemplate: '{{propertiesList}}' },
  POSTHOG: { teamApiKey: 'key' },
  HTTP: {
    apiUrl: 'https://example.com/v1?a=b',
    method: 'PUT',
    format: 'XML',
    pathParams: [{ path: 'users' }, { path: '$.anonymousId' }],
    queryParams: [{ to: 'q', from: '$.properties' }],
    headers: [{ to: 'x-event', from: '$.event' }],
    propertiesMapping: [
      { to: '$.a.b', from: '$.properties' },
      { to: '$.__proto__.c', from: '$.traits[*].name' },
    ],
  },
  AM: { apiKey: 'key', traitsToSetOnce: [{ traits: 'email' }], groupTypeTrait: 'name' },
  MP: { token: 'token', setOnceProperties: [{ property: 'email' }], groupKeySettings: [{ groupKey: 'name' }] },
  GA4: { apiSecret: 'secret', measurementId: 'G-1' },
  CUSTOMERIO: { siteID: 'site', apiKey: 'key' },
  KAFKA: { hostName: 'kafka', topic: 'events', headers: [{ from: 'a', to: 'b' }] },
  KINESIS: { ...aws, stream: 's' },
  FIREHOSE: { ...aws, mapEvents: [{ from: '*', to: 's' }] },
  EVENTBRIDGE: { ...aws, detailType: 'event' },
  LAMBDA: { ...aws, lambda: 'f' },
  GOOGLEPUBSUB: {
    projectId: 'p',
    credentials: '{"client_email":"a","private_key":"k"}',
    eventToTopicMap: [{ from: '*', to: 't' }],
    eventToAttributesMap: [{ from: '*', to: 'properties.price' }],
  },
  REDIS: { address: 'redis:6379' },
  ...Object.fromEntries(
    Object.keys(dialects).map((type) => [
      type,
      {
        ...{
          host: 'h',
          database: 'd',
          user: 'u',
          project: 'p',
          bucketName: 'b',
          account: 'a',
          warehouse: 'w',
          path: 'p',
        },
        ...{ token: 't', containerName: 'c', accountName: 'a', jsonPaths: 'track.properties.products,x' },
        enableIDResolution: true,
      },
    ]),
  ),
  S3: { bucketName: 'b' },
  GCS: { bucketName: 'b' },
  AZURE_BLOB: { containerName: 'c', accountName: 'a' },
  MINIO: { bucketName: 'b', endPoint: 'minio:9000', accessKeyID: 'k', secretAccessKey: 's' },
  DIGITAL_OCEAN_SPACES: {
    bucketName: 'b',
    endPoint: 'https://fra1.example.com',
    accessKeyID: 'k',
    secretAccessKey: 's',
  },
};

const methods = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']);
const formats = new Set<RequestDescriptor['format']>(['JSON', 'JSON_ARRAY', 'XML', 'FORM', 'GZIP', 'NONE', 'CUSTOM']);

const words = fc.constantFrom(
  '',
  ' ',
  'Order Completed',
  'Product Added',
  'user-1',
  '2026-03-01T00:00:00Z',
  '__proto__',
  '💥',
  'x'.repeat(300),
);
const anyValue = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  words,
  fc.double(),
  fc.constant({ toString: null, length: -1 }),
);
const fields = fc.dictionary(
  fc.oneof(
    fc.string(),
    fc.constantFrom('__proto__', 'constructor', 'email', 'name', 'products', 'price', 'revenue', 'total'),
  ),
  anyValue,
  { maxKeys: 6 },
);
const fieldsOfEvent = fc.record(
  {
    type: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom('identify', 'track', 'page', 'screen', 'group', 'alias') },
      { weight: 1, arbitrary: anyValue },
    ),
    userId: anyValue,
    anonymousId: fc.oneof(words, anyValue),
    event: fc.oneof(words, anyValue),
    name: anyValue,
    groupId: fc.oneof(words, anyValue),
    previousId: fc.oneof(words, anyValue),
    properties: fc.oneof(fields, anyValue),
    traits: fc.oneof(fields, anyValue),
    context: fc.oneof(
      fc.record(
        { traits: fields, device: fields, app: fields, page: fields, ip: anyValue, externalId: fc.array(fields) },
        { requiredKeys: [] },
      ),
      anyValue,
    ),
    timestamp: fc.oneof(words, anyValue),
    integrations: fields,
  },
  { requiredKeys: [] },
);

/** As it comes from the gateway: parsed from its bytes. */
const eventOf = fieldsOfEvent.map((event): EventObject => JSON.parse(JSON.stringify(event)));

function check(result: TransformResult): void {
  if (result.kind !== 'deliver') {
    assert.ok(result.reason !== '', 'expected a reason');
    if (result.kind === 'aborted') assert.ok(result.code >= 400 && result.code < 500, `got code ${result.code}`);
    return;
  }
  const request = completeRequest(JSON.parse(result.request));
  assert.ok(formats.has(request.format), `got format ${request.format}`);
  if (request.format === 'CUSTOM') {
    assert.deepEqual([request.method, request.endpoint], ['', '']);
  } else {
    assert.equal(invalidRequest(request), undefined);
    assert.ok(methods.has(request.method), `got method ${request.method}`);
  }
  const isJson = request.format === 'JSON' || request.format === 'CUSTOM';
  if (isJson && result.body !== 'event' && !result.request.includes('ndjson'))
    JSON.parse(Buffer.from(result.body).toString());
}

for (const { name } of destinationTypes) {
  test(`${name} knows what to do with any event`, () => {
    const config = settings[name];
    assert.ok(config, `expected settings for ${name} in this test`);
    const transform = transformer(name, config);
    let delivered = 0;
    fc.assert(
      fc.property(eventOf, (event) => {
        const result = transform(event);
        check(result);
        if (result.kind === 'deliver') delivered += 1;
      }),
      { numRuns: 300 },
    );
    assert.ok(delivered > 0, 'expected that something is delivered');
  });
}

test('any settings either work or say which of them does not', () => {
  const event: EventObject = { type: 'track', event: 'Paid', userId: 'u', anonymousId: 'a', properties: { total: 1 } };
  const odd = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom('https://example.com', 'http://[', '{{ event.userId || x }}', 'a\nb', '$.a', 'é💥', 'true', '7'),
    fc.array(fc.dictionary(fc.constantFrom('from', 'to', 'path', 'eventName', 'eventTemplate', 'eventRegex'), words)),
  );
  for (const type of destinationTypes) {
    const keys = type.settings.map(({ key }) => key);
    const config = fc.dictionary(fc.constantFrom(...keys), odd, { maxKeys: keys.length });
    const good = fc.constant(settings[type.name] ?? {});
    fc.assert(
      fc.property(good, config, (base, changes) => {
        const given = JSON.parse(JSON.stringify({ ...base, ...changes }));
        const compiled = type.compile(makeDestination('d', { config: given }));
        const result = compiled.transform(event, goldenMetadata);
        check(result);
        if (compiled.problem === undefined) return;
        const { problem } = compiled;
        assert.ok(
          keys.some((key) => problem.includes(key)),
          `expected a key in: ${problem}`,
        );
        assert.deepEqual(result, { kind: 'aborted', code: 400, reason: problem });
      }),
      { numRuns: 100 },
    );
  }
});
