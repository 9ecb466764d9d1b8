// Senders of destination types that are no plain requests: what is sent for a message, and what each answer counts as.

import assert from 'node:assert/strict';
import { createVerify, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { missingSender } from '../../actors/destinations/senders.ts';
import type { RequestDescriptor } from '../../actors/job.ts';
import { awsOutcome } from '../../actors/router/custom/aws.ts';
import { customTypes } from '../../actors/router/custom/custom-types.ts';
import { kafkaFailure, kafkaTarget } from '../../actors/router/custom/kafka.ts';
import { pubsubOutcome } from '../../actors/router/custom/pubsub.ts';
import { redisCommand, redisFailure, redisTarget } from '../../actors/router/custom/redis.ts';
import type { CustomContext } from '../../actors/router/custom/sender.ts';
import type { DeliveryOutcome } from '../../actors/router/delivery.ts';
import { createEgressGuard, KafkaError, RedisCommandError } from '../../transport/index.ts';
import { makeDestination } from '../support/workspace-objects.ts';

interface Sent {
  request: RequestDescriptor;
  body: string;
}

/** A sender of this type over a network that answers what the test says. */
async function open(name: string, config: Record<string, unknown>, answer: (sent: Sent) => Partial<DeliveryOutcome>) {
  const sent: Sent[] = [];
  const type = customTypes.get(name);
  assert.ok(type !== undefined);
  const context: CustomContext = {
    guard: createEgressGuard({ allow: [] }),
    timeoutMs: 1_000,
    nowMs: () => Date.UTC(2026, 0, 1),
    http: (request, body) => {
      const one = { request, body: Buffer.from(body).toString() };
      sent.push(one);
      return Promise.resolve({ code: 200, response: '', contentType: '', retryAfterMs: undefined, ...answer(one) });
    },
  };
  return { sender: await type.open(makeDestination('d1', { config }), context), sent };
}

const keys = { region: 'eu-west-1', accessKeyID: 'AKIDEXAMPLE', secretAccessKey: 'secret' };

test('every custom type is known to have a sender', () => {
  for (const name of customTypes.keys()) assert.equal(missingSender({ name, deliveredBy: 'custom' }), undefined);
});

test('AWS gets one signed request for each event', async () => {
  const { sender, sent } = await open('KINESIS', { ...keys, stream: 'events' }, () => ({}));
  assert.equal((await sender.send({ message: { a: 1 }, userId: 'ann' })).code, 200);
  const [one] = sent;
  assert.equal(one?.request.endpoint, 'https://kinesis.eu-west-1.amazonaws.com/');
  const { headers } = one?.request ?? { headers: {} };
  assert.equal(headers['x-amz-target'], 'Kinesis_20131202.PutRecord');
  assert.equal(headers['x-amz-date'], '20260101T000000Z');
  assert.match(headers.authorization ?? '', /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20260101\/eu-west-1\/kinesis\//);
  assert.deepEqual(JSON.parse(one?.body ?? ''), {
    StreamName: 'events',
    PartitionKey: 'ann',
    Data: Buffer.from('{"a":1}').toString('base64'),
  });
});

test('a function is called with its payload, and what it throws is an answer about the event', async () => {
  const { sender, sent } = await open('LAMBDA', { ...keys, lambda: 'my-fn', clientContext: 'ctx' }, () => ({
    headers: { 'x-amz-function-error': 'Unhandled' },
    response: '{"errorMessage":"no"}',
  }));
  const outcome = await sender.send({ payload: '{"type":"track"}' });
  assert.deepEqual([outcome.code, outcome.response], [400, 'the function failed: {"errorMessage":"no"}']);
  assert.match(sent[0]?.request.endpoint ?? '', /\/2015-03-31\/functions\/my-fn\/invocations$/);
  assert.equal(sent[0]?.request.headers['x-amz-invocation-type'], 'Event');
});

test('settings no client can be made of are refused when it is opened', async () => {
  const none = (): Partial<DeliveryOutcome> => ({});
  await assert.rejects(open('KINESIS', { ...keys, region: '' }, none), /expected region/);
  await assert.rejects(open('FIREHOSE', { region: 'eu-west-1' }, none), /expected accessKeyID/);
  await assert.rejects(open('LAMBDA', { ...keys, roleBasedAuth: true }, none), /by keys only/);
  await assert.rejects(open('GOOGLEPUBSUB', { projectId: 'p', credentials: '' }, none), /expected credentials/);
  await assert.rejects(open('KAFKA', { hostName: ' , ' }, none), /expected hostName/);
  await assert.rejects(open('REDIS', { address: '' }, none), /expected address/);
});

const awsAnswers: [type: string, code: number, response: unknown, counts: number][] = [
  ['KINESIS', 200, { SequenceNumber: '1' }, 200],
  ['KINESIS', 400, { __type: 'ProvisionedThroughputExceededException' }, 429],
  ['KINESIS', 400, { __type: 'com.amazonaws#ThrottlingException' }, 429],
  ['KINESIS', 400, { __type: 'ResourceNotFoundException' }, 503],
  ['KINESIS', 403, { __type: 'AccessDeniedException' }, 503],
  ['KINESIS', 400, { __type: 'ExpiredTokenException' }, 503],
  ['KINESIS', 400, { __type: 'ValidationException' }, 400],
  ['KINESIS', 500, { __type: 'InternalFailure' }, 500],
  ['FIREHOSE', 503, { __type: 'ServiceUnavailableException' }, 503],
  ['EVENTBRIDGE', 200, { FailedEntryCount: 0 }, 200],
  ['EVENTBRIDGE', 200, { FailedEntryCount: 1, Entries: [{ ErrorCode: 'ThrottlingException' }] }, 429],
  ['EVENTBRIDGE', 200, { FailedEntryCount: 1, Entries: [{ ErrorCode: 'InternalFailure' }] }, 500],
  ['EVENTBRIDGE', 200, { FailedEntryCount: 1, Entries: [{ ErrorCode: 'MalformedDetail' }] }, 400],
  ['LAMBDA', 202, {}, 200],
  ['LAMBDA', 429, { Reason: 'TooManyRequestsException' }, 429],
  ['LAMBDA', 504, '', 504],
];

test('answers of AWS count as what they mean', () => {
  for (const [type, code, response, counts] of awsAnswers) {
    const outcome = { code, response: JSON.stringify(response), contentType: '', retryAfterMs: undefined };
    assert.equal(awsOutcome(type, outcome).code, counts, `${type} ${code} ${outcome.response}`);
  }
});

test('Pub/Sub is asked with a token the account signed itself, which is asked for once', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const credentials = JSON.stringify({ client_email: 'me@project', private_key: pem });
  let publishAnswer: Partial<DeliveryOutcome> = {};
  const { sender, sent } = await open('GOOGLEPUBSUB', { projectId: 'p', credentials }, ({ request }) =>
    request.endpoint.includes('oauth2') ? { response: '{"access_token":"t1","expires_in":3600}' } : publishAnswer,
  );
  const message = { message: { a: 1 }, topicId: 'events', attributes: { plan: 'pro' } };
  const outcomes = await Promise.all([sender.send(message), sender.send(message), sender.send(message)]);
  assert.deepEqual(
    outcomes.map(({ code }) => code),
    [200, 200, 200],
  );
  const tokens = sent.filter(({ request }) => request.endpoint.includes('oauth2'));
  assert.equal(tokens.length, 1);
  const [head = '', claims = '', signature = ''] = (new URLSearchParams(tokens[0]?.body).get('assertion') ?? '').split(
    '.',
  );
  assert.ok(createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(publicKey, signature, 'base64url'));
  assert.equal(JSON.parse(Buffer.from(claims, 'base64url').toString()).iss, 'me@project');
  const published = sent.at(-1);
  assert.equal(published?.request.endpoint, 'https://pubsub.googleapis.com/v1/projects/p/topics/events:publish');
  assert.equal(published?.request.headers.Authorization, 'Bearer t1');
  assert.deepEqual(JSON.parse(published?.body ?? '').messages[0].attributes, { plan: 'pro' });
  publishAnswer = { code: 401, response: 'expired' };
  assert.equal((await sender.send(message)).code, 503);
  publishAnswer = {};
  assert.equal((await sender.send(message)).code, 200);
  assert.equal(
    sent.filter(({ request }) => request.endpoint.includes('oauth2')).length,
    2,
    'a refused token is replaced',
  );
  const text = { response: '', contentType: '', retryAfterMs: undefined };
  assert.equal(pubsubOutcome({ ...text, code: 404 }).code, 503, 'a topic that is not there can be made');
  assert.equal(pubsubOutcome({ ...text, code: 400 }).code, 400);
  assert.equal(pubsubOutcome({ ...text, code: 403, response: 'RESOURCE_EXHAUSTED' }).code, 429);
});

test('Kafka: targets of settings, and errors by what they are about', () => {
  assert.deepEqual(kafkaTarget({ hostName: 'a, b:9093', port: '9094', sslEnabled: true, caCertificate: 'PEM' }), {
    brokers: ['a:9094', 'b:9093'],
    tls: { ca: 'PEM' },
  });
  const sasl = { useSASL: true, saslType: 'sha512', username: 'u', password: 'p' };
  assert.equal(kafkaTarget({ hostName: 'a', ...sasl }).sasl?.mechanism, 'scram-sha-512');
  const code = (type: string, isRetryable: boolean) => kafkaFailure(new KafkaError(type, 'text', isRetryable)).code;
  assert.equal(code('MESSAGE_TOO_LARGE', false), 413);
  assert.equal(code('INVALID_TOPIC_EXCEPTION', false), 400);
  assert.equal(code('TOPIC_AUTHORIZATION_FAILED', false), 503);
  assert.equal(code('KafkaJSSASLAuthenticationError', false), 503);
  assert.equal(code('NOT_LEADER_FOR_PARTITION', true), 504);
  assert.equal(code('KafkaJSConnectionError', true), 504);
});

test('Redis: commands of messages, targets of settings, and errors by what they are about', () => {
  const words = (message: unknown) => redisCommand({ message: message as object })?.words;
  assert.deepEqual(words({ key: 'user:1', fields: { a: 1, b: { c: 2 }, d: null } }), [
    'HSET',
    'user:1',
    'a',
    '1',
    'b',
    '{"c":2}',
    'd',
    '',
  ]);
  assert.deepEqual(words({ hash: 'h', key: 'k', value: 7 }), ['HSET', 'h', 'k', '7']);
  assert.deepEqual(words({ key: 'user:1', value: { a: 1 } }), ['JSON.MERGE', 'user:1', '$', '{"a":1}']);
  assert.equal(words({ key: 'user:1', fields: {} }), undefined);
  assert.equal(words({ fields: { a: 1 } }), undefined);
  const target = redisTarget({ address: 'a:1, [::1]:2, c', clusterMode: false, secure: true, skipVerify: true });
  assert.deepEqual(target.nodes, [
    { host: 'a', port: 1 },
    { host: '::1', port: 2 },
    { host: 'c', port: 6379 },
  ]);
  assert.deepEqual([target.isCluster, target.tls], [false, { rejectUnauthorized: false }]);
  const code = (text: string) => redisFailure(new RedisCommandError(text)).code;
  assert.equal(code('WRONGTYPE Operation against a key'), 400);
  assert.equal(code("ERR unknown command 'JSON.MERGE'"), 503);
  assert.equal(code('ERR syntax error'), 400);
  assert.equal(code('WRONGPASS invalid username-password pair'), 503);
  assert.equal(code('OOM command not allowed'), 503);
  assert.equal(redisFailure(new Error('away')).code, 504);
});
