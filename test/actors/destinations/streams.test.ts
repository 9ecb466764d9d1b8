// Streams, functions, key-value and object stores: the messages their senders get, and that nothing is queued for a
// type that has no sender.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileDestination, destinationTypes } from '../../../actors/destinations/registry.ts';
import { missingSender } from '../../../actors/destinations/senders.ts';
import { goldenMetadata, problemOf, sentBy, transformer } from '../../support/destinations.ts';
import { makeDestination } from '../../support/workspace-objects.ts';

const track = {
  type: 'track',
  event: 'Order Paid',
  userId: 'u1',
  anonymousId: 'a1',
  properties: { plan: 'pro', items: [1] },
  timestamp: '2026-03-01T11:59:00.000Z',
};
const identify = { type: 'identify', userId: 'u1', traits: { plan: 'pro', tags: ['a'], age: 7, none: null } };
const aws = { region: 'eu-west-1', accessKeyID: 'key', secretAccessKey: 'secret' };
const credentials = '{"client_email": "a@b.c",\n"private_key": "k"}';

function messageOf(type: string, config: Record<string, unknown>, event: Record<string, unknown> = track): unknown {
  const { request, body } = sentBy(transformer(type, config)(event));
  assert.deepEqual([request.method, request.endpoint, request.format], ['', '', 'CUSTOM']);
  return body;
}

test('Kafka messages have a topic of the settings, a mapping or the event, and the user as key', () => {
  const config = { hostName: 'k1,k2', topic: 'all' };
  assert.deepEqual(messageOf('KAFKA', config), { message: track, userId: 'u1', topic: 'all' });
  const mapped = {
    ...config,
    enableMultiTopic: true,
    eventToTopicMap: [{ from: 'order paid', to: 'orders' }],
    eventTypeToTopicMap: [{ from: 'Track', to: 'tracks' }],
    headers: [{ from: 'source', to: 'shop' }],
  };
  const headers = { source: 'shop' };
  assert.deepEqual(messageOf('KAFKA', mapped), { message: track, userId: 'u1', topic: 'orders', headers });
  const other = { ...track, event: 'Other', userId: '' };
  assert.deepEqual(messageOf('KAFKA', mapped, other), { message: other, userId: 'a1', topic: 'tracks', headers });
  const own = { ...track, integrations: { KAFKA: { topic: 'mine', schemaId: 's1' } } };
  assert.deepEqual(messageOf('KAFKA', config, own), { message: own, userId: 'u1', topic: 'mine', schemaId: 's1' });
});

test('Redis keeps traits in a hash of texts, or in a document', () => {
  const config = { address: 'redis:6379', prefix: 'shop' };
  const fields = { plan: 'pro', tags: '["a"]', age: '7', none: '' };
  assert.deepEqual(messageOf('REDIS', config, identify), { message: { key: 'shop:user:u1', fields }, userId: 'u1' });
  assert.deepEqual(messageOf('REDIS', { address: 'r', useJSONModule: true }, identify), {
    message: { key: 'user:u1', value: identify.traits },
    userId: 'u1',
  });
  const transform = transformer('REDIS', config);
  assert.equal(transform(track).kind, 'filtered');
  assert.equal(transform({ type: 'identify', userId: 'u1' }).kind, 'filtered');
  assert.deepEqual(transform({ type: 'identify', traits: { a: 1 } }), {
    kind: 'aborted',
    code: 400,
    reason: 'userId is missing',
  });
});

test('Kinesis records always have a partition key', () => {
  assert.deepEqual(messageOf('KINESIS', { ...aws, stream: 's' }), { message: track, userId: 'u1' });
  const nobody = { type: 'track', event: 'x' };
  const message = messageOf('KINESIS', { ...aws, stream: 's' }, nobody);
  assert.deepEqual(message, { message: nobody, userId: goldenMetadata.messageId });
});

test('Firehose streams are chosen by name, then type, then for all', () => {
  const mapEvents = [
    { from: 'Order Paid', to: 'orders' },
    { from: 'page', to: 'pages' },
  ];
  const streamOf = (event: Record<string, unknown>, rows = mapEvents) =>
    (messageOf('FIREHOSE', { ...aws, mapEvents: rows }, event) as { deliveryStreamMapTo: string }).deliveryStreamMapTo;
  assert.equal(streamOf(track), 'orders');
  assert.equal(streamOf({ type: 'page' }), 'pages');
  assert.equal(streamOf({ type: 'screen' }, [...mapEvents, { from: '*', to: 'rest' }]), 'rest');
  assert.equal(transformer('FIREHOSE', { ...aws, mapEvents })({ type: 'screen' }).kind, 'filtered');
});

test('EventBridge gets an entry of PutEvents', () => {
  const config = { ...aws, detailType: 'shop-event', resourceID: 'arn:a, arn:b' };
  assert.deepEqual(messageOf('EVENTBRIDGE', config), {
    Time: Date.parse('2026-03-01T11:59:00.000Z') / 1000,
    Source: 'rudderstack',
    Resources: ['arn:a', 'arn:b'],
    DetailType: 'shop-event',
    Detail: JSON.stringify(track),
    EventBusName: 'default',
  });
  const large = transformer('EVENTBRIDGE', config)({ ...track, properties: { text: 'x'.repeat(300_000) } });
  assert.ok(large.kind === 'aborted' && large.code === 413);
});

test('Lambda is called with the event as text', () => {
  assert.deepEqual(messageOf('LAMBDA', { ...aws, lambda: 'f' }), { payload: JSON.stringify(track) });
  const large = { ...track, properties: { text: 'x'.repeat(300_000) } };
  assert.equal(transformer('LAMBDA', { ...aws, lambda: 'f' })(large).kind, 'aborted');
  assert.equal(
    transformer('LAMBDA', { ...aws, lambda: 'f', invocationType: 'RequestResponse' })(large).kind,
    'deliver',
  );
});

test('Pub/Sub messages have a topic and attributes by event', () => {
  const config = {
    projectId: 'p',
    credentials,
    eventToTopicMap: [{ from: 'track', to: 't1' }],
    eventToAttributesMap: [
      { from: 'Order Paid', to: 'properties.plan' },
      { from: 'Order Paid', to: 'properties.items' },
      { from: 'track', to: 'userId' },
    ],
  };
  assert.deepEqual(messageOf('GOOGLEPUBSUB', config), {
    userId: 'u1',
    message: track,
    topicId: 't1',
    attributes: { plan: 'pro', items: '[1]' },
  });
  const { attributes } = messageOf('GOOGLEPUBSUB', config, { ...track, event: 'x' }) as { attributes: unknown };
  assert.deepEqual(attributes, { userId: 'u1' });
  assert.equal(transformer('GOOGLEPUBSUB', config)(identify).kind, 'filtered');
});

test('object stores take the event as it is', () => {
  const sent = sentBy(transformer('S3', { bucketName: 'b' })(track));
  assert.deepEqual([sent.request.format, sent.body], ['CUSTOM', 'event']);
});

test('settings of streams and stores are named when they are missing', () => {
  const table: [string, Record<string, unknown>, string][] = [
    ['KAFKA', { topic: 't' }, 'hostName is missing'],
    ['KAFKA', { hostName: 'k', topic: 't', useSASL: true }, 'username is missing'],
    ['KINESIS', { stream: 's' }, 'region is missing'],
    ['KINESIS', { ...aws, stream: 's', region: 'Mars!' }, 'expected region to be one like eu-west-1, got "Mars!"'],
    ['KINESIS', { region: 'eu-west-1', stream: 's', accessKeyID: 'k' }, 'secretAccessKey is missing'],
    [
      'KINESIS',
      { ...aws, stream: 's', roleBasedAuth: true },
      'roleBasedAuth is not supported: give accessKeyID and secretAccessKey',
    ],
    ['FIREHOSE', aws, 'mapEvents is missing'],
    ['EVENTBRIDGE', aws, 'detailType is missing'],
    ['LAMBDA', aws, 'lambda is missing'],
    ['GOOGLEPUBSUB', { projectId: 'p', credentials }, 'eventToTopicMap is missing'],
    [
      'GOOGLEPUBSUB',
      { projectId: 'p', credentials: 'no' },
      'expected credentials to be JSON with client_email and private_key',
    ],
    ['REDIS', { address: 'r', database: 'x' }, 'expected database to be a number, got "x"'],
    ['REDIS', {}, 'address is missing'],
    ['S3', {}, 'bucketName is missing'],
    ['GCS', {}, 'bucketName is missing'],
    ['AZURE_BLOB', { containerName: 'c' }, 'accountName is missing'],
    ['MINIO', { bucketName: 'b' }, 'endPoint is missing'],
    ['DIGITAL_OCEAN_SPACES', { bucketName: 'b' }, 'endPoint is missing'],
  ];
  for (const [type, config, problem] of table) assert.equal(problemOf(type, config), problem);
});

test('a type without a sender is refused when it is configured, whatever its settings', () => {
  const undelivered = destinationTypes.filter((type) => missingSender(type) !== undefined);
  for (const { name } of undelivered) {
    const definition = { id: 'x', name, displayName: name, config: {} };
    const { problem, transform } = compileDestination(makeDestination('d', { destinationDefinition: definition }));
    const reason = `this version has nothing that delivers to destinations of type ${name}`;
    assert.ok(problem?.startsWith(`${reason}; supported are WEBHOOK, `), problem);
    assert.deepEqual(transform(track, goldenMetadata), { kind: 'aborted', code: 404, reason });
  }
});
