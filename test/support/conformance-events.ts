// Rows of the conformance table about who may send, what an event must be and what is filled in (spec/ingest.md 1.1, 1.3
// and 1.4).

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { as, type ConformanceRow, eventOf, nobody, ok, row } from './conformance-row.ts';
import { basicAuth, fixedNowText, gzip, type RequestParts, track } from './gateway-fixture.ts';

const newId = '00000000-0000-4000-8000-000000000000';
const packed = (body: Uint8Array): RequestParts => ({ body, headers: { 'Content-Encoding': 'gzip' } });
const brokenGzip = gzipSync(track).fill(0xff, 12, 24);
const authorization = (value: string): RequestParts => ({ body: track, headers: { Authorization: value } });
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const noKey = [401, 'failed to read writekey from header'] as const;
const unreadable = [500, 'failed to read body from request'] as const;
const invalidJson = [400, 'invalid json'] as const;
const notAnEvent = [400, 'event is not a valid rudder event'] as const;
const noIdentity = [400, 'request neither has anonymousId nor userId'] as const;
const tooLarge = [413, 'request size exceeds max limit'] as const;

/** Checks members of the first event that was stored. */
const event = (expected: Record<string, unknown>): ConformanceRow['stored'] => {
  return ([job]) => {
    const found = eventOf(job);
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(found[name], value, name);
  };
};

const bodies: ConformanceRow[] = [
  row('1.1', 'POST /v1/track', 'a packed body', gzip(track), ok, 1),
  row(
    '1.1',
    'POST /v1/track',
    'a packed body whose type is a form',
    {
      ...gzip(track),
      headers: { 'Content-Encoding': 'gzip', 'Content-Type': 'application/x-www-form-urlencoded' },
    },
    ok,
    1,
  ),
  row(
    '1.1',
    'POST /v1/track',
    'a body packed in two members',
    packed(Buffer.concat([gzipSync('{"userId":'), gzipSync('"u1"}')])),
    ok,
    1,
  ),
  row('1.1', 'POST /v1/track', 'broken gzip', packed(brokenGzip), unreadable),
  row('1.1', 'POST /v1/track', 'plain text that claims to be gzip', packed(Buffer.from(track)), unreadable),
  row('1.1', 'POST /v1/track', 'gzip cut short', packed(gzipSync(track).subarray(0, 30)), unreadable),
  row(
    '1.1',
    'POST /v1/track',
    'something behind the gzip',
    packed(Buffer.concat([gzipSync(track), Buffer.from('more than that')])),
    unreadable,
  ),
  row('1.1', 'POST /v1/track', 'a body packed twice', packed(gzipSync(gzipSync(track))), invalidJson),
  row('1.1', 'POST /v1/track', 'gzip of broken JSON', gzip('{'), invalidJson),
  row(
    '1.1',
    'POST /v1/track',
    'an encoding it does not know',
    {
      body: gzipSync(track),
      headers: { 'Content-Encoding': 'br' },
    },
    invalidJson,
  ),
  row('1.1', 'POST /v1/track', 'a body over the limit', { body: `"${'x'.repeat(4_000 * 1024)}"` }, tooLarge),
  row(
    '1.1',
    'POST /v1/track',
    'a small body that unpacks over the limit',
    gzip('x'.repeat(4_000 * 1024 + 1)),
    tooLarge,
  ),
];

const keys: ConformanceRow[] = [
  row(
    '1.3',
    'POST /v1/track',
    'a password, which is ignored',
    authorization(`Basic ${base64('key-1:any:thing')}`),
    ok,
    1,
  ),
  row('1.3', 'POST /v1/track', 'a scheme in small letters', authorization(`basic ${base64('key-1:')}`), ok, 1),
  row('1.3', 'POST /v1/track', 'no credentials', { body: track, ...nobody }, noKey),
  row('1.3', 'POST /v1/track', 'an empty write key', authorization(basicAuth('')), noKey),
  row('1.3', 'POST /v1/track', 'another scheme', authorization('Bearer abc'), noKey),
  row('1.3', 'POST /v1/track', 'a scheme and nothing', authorization('Basic'), noKey),
  row('1.3', 'POST /v1/track', 'credentials without a colon', authorization(`Basic ${base64('key-1')}`), noKey),
  row(
    '1.3',
    'POST /v1/track',
    'base64 without its end',
    authorization(`Basic ${base64('key-11:').slice(0, -1)}`),
    noKey,
  ),
  row('1.3', 'POST /v1/track', 'base64 for URLs', authorization('Basic a2V5-_E6'), noKey),
  row('1.3', 'POST /v1/track', 'base64 with a space in it', authorization('Basic a2V5 LTE6'), noKey),
  row('1.3', 'POST /v1/track', 'an unknown write key', { body: track, ...as('nobody') }, [401, 'invalid write key']),
  row('1.3', 'POST /v1/track', 'the start of a write key', { body: track, ...as('key-') }, [401, 'invalid write key']),
  row('1.3', 'POST /v1/track', 'an unknown key before the body', { body: '{', ...as('nobody') }, [
    401,
    'invalid write key',
  ]),
  row('1.3', 'POST /v1/track', 'a disabled source', { body: track, ...as('key-off') }, [404, 'source is disabled']),
];

const refused: ConformanceRow[] = [
  row('1.4 rule 1', 'POST /v1/track', 'an empty body', { body: '' }, [400, 'request body is nil']),
  row('1.4 rule 2', 'POST /v1/track', 'broken JSON', { body: '{"userId":"u1",}' }, invalidJson),
  row('1.4 rule 2', 'POST /v1/batch', 'broken JSON', { body: '{"batch":[{"userId":"u1"}]' }, invalidJson),
  row('1.4 rule 2', 'POST /v1/track', 'two values', { body: `${track}${track}` }, invalidJson),
  row(
    '1.4 rule 2',
    'POST /v1/track',
    'bytes that are not UTF-8',
    {
      body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    },
    invalidJson,
  ),
  row('1.4 rule 3', 'POST /v1/track', 'an array', { body: '[1]' }, notAnEvent),
  row(
    '1.4 rule 3',
    'POST /v1/track',
    'another type',
    { body: '{"userId":"u","type":"page"}' },
    ok,
    event({ type: 'track' }),
  ),
  row('1.4 rule 4', 'POST /v1/batch', 'a batch that is no array', { body: '{"batch":{}}' }, notAnEvent),
  row(
    '1.4 rule 4',
    'POST /v1/batch',
    'elements that are no objects',
    { body: '{"batch":["x",{"type":"track"}]}' },
    notAnEvent,
  ),
  row('1.4 rule 4', 'POST /v1/batch', 'an empty batch', { body: '{"batch":[]}' }, [400, 'empty batch payload']),
  row('1.4 rule 4', 'POST /v1/batch', 'no batch', { body: '{}' }, [400, 'empty batch payload']),
  row('1.4 rule 4', 'POST /v1/batch', 'null for a batch', { body: '{"batch":null}' }, [400, 'empty batch payload']),
  row('1.4 rule 5', 'POST /v1/track', 'no identity', { body: '{"userId":" ","anonymousId":null}' }, noIdentity),
  row(
    '1.4 rule 5',
    'POST /v1/batch',
    'no identity in any event',
    {
      body: '{"batch":[{"type":"page"},{"type":"track"}]}',
    },
    noIdentity,
  ),
  row('1.4 rule 5', 'POST /v1/batch', 'first fault of a batch', { body: '{"batch":[{"type":"track"},7]}' }, noIdentity),
  row(
    '1.4 rule 5',
    'POST /v1/batch',
    'a bad event, and its neighbour is kept',
    {
      body: `{"batch":[{"type":"track"},${track}]}`,
    },
    noIdentity,
    1,
  ),
  row(
    '1.4 rule 5',
    'POST /v1/batch',
    'types that need no identity',
    {
      body: '{"batch":[{"type":"record"},{"type":"extract"}]}',
    },
    ok,
    2,
  ),
  row(
    '1.4 rule 5',
    'POST /v1/track',
    'a number for an identity',
    { body: '{"userId":9007199254740993}' },
    ok,
    ([job]) => assert.equal(job?.userId, '<<>>9007199254740993<<>>9007199254740993'),
  ),
];

const filledIn: ConformanceRow[] = [
  row(
    '1.4 rule 6',
    'POST /v1/batch',
    'job runs of the first event before those of headers',
    {
      body: `{"batch":[{"userId":"u","context":{"sources":{"job_run_id":"of event"}}},${track}]}`,
      headers: { 'X-Rudder-Job-Run-Id': 'of header', 'X-Rudder-Task-Run-Id': 'task' },
    },
    ok,
    (jobs) => {
      assert.equal(jobs.length, 2);
      for (const { parameters } of jobs) {
        const { source_job_run_id: run, source_task_run_id: task } = JSON.parse(parameters);
        assert.deepEqual([run, task], ['of event', 'task']);
      }
    },
  ),
  row(
    '1.4 fill-ins',
    'POST /v1/track',
    'rudderId, always ours',
    { body: '{"userId":"u1","anonymousId":"7","rudderId":"x"}' },
    ok,
    event({ rudderId: '1df2690b-6b7e-b6ba-e7a8-9b2a51135687' }),
  ),
  row(
    '1.4 fill-ins',
    'POST /v1/track',
    'receivedAt and request_ip that are absent',
    { body: track },
    ok,
    event({ receivedAt: fixedNowText, request_ip: '127.0.0.1' }),
  ),
  row(
    '1.4 fill-ins',
    'POST /v1/batch',
    'request_ip, which no other event inherits',
    {
      body: `{"batch":[{"userId":"u","request_ip":"9.9.9.9","receivedAt":"then"},{"userId":"u"}]}`,
      headers: { 'X-Forwarded-For': '1.2.3.4' },
    },
    ok,
    (jobs) => {
      const facts = jobs.map((job) => [eventOf(job).request_ip, eventOf(job).receivedAt]);
      assert.deepEqual(facts, [
        ['9.9.9.9', 'then'],
        ['1.2.3.4', fixedNowText],
      ]);
    },
  ),
  row(
    '1.4 fill-ins',
    'POST /v1/track',
    'messageId trimmed',
    { body: '{"userId":"u","messageId":" m\\u0000 "}' },
    ok,
    event({ messageId: 'm' }),
  ),
  ...['{"userId":"u"}', '{"userId":"u","messageId":" "}', '{"userId":"u","messageId":5}'].map((body) =>
    row('1.4 fill-ins', 'POST /v1/track', `messageId of ${body}`, { body }, ok, event({ messageId: newId })),
  ),
  row(
    '1.4 fill-ins',
    'POST /v1/batch',
    'no type, and the times as they are',
    {
      body: '{"batch":[{"userId":"u","sentAt":"x","originalTimestamp":1,"timestamp":null}]}',
    },
    ok,
    event({ type: undefined, sentAt: 'x', originalTimestamp: 1, timestamp: null }),
  ),
  row(
    '2.1',
    'POST /v1/track',
    'the three parts of a user',
    {
      body: '{"userId":"u","anonymousId":"a"}',
      headers: { AnonymousId: 'h' },
    },
    ok,
    ([job]) => assert.equal(job?.userId, 'h<<>>a<<>>u'),
  ),
];

export const eventConformance: readonly ConformanceRow[] = [...bodies, ...keys, ...refused, ...filledIn];
