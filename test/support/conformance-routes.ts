// Rows of the conformance table about each path: who may use it, what it answers, what it stores (spec/ingest.md 1.2,
// 1.3, 1.5, 1.6 and 1.10 to 1.12).

import assert from 'node:assert/strict';
import { as, bearer, type ConformanceRow, eventOf, nobody, ok, row, token } from './conformance-row.ts';
import { basicAuth, fixedNowText, type RequestParts, track } from './gateway-fixture.ts';

const batch = `{"batch":[${track}]}`;
const keyAndToken = { headers: { Authorization: `Basic ${Buffer.from(`key-1:${token}`).toString('base64')}` } };
const noToken = [401, 'invalid admin token'] as const;
const notAnEvent = [400, 'event is not a valid rudder event'] as const;
const get = (parts: RequestParts = nobody): RequestParts => ({ headers: { 'Content-Length': '', ...parts.headers } });
const typed = (type: string): ConformanceRow['stored'] => {
  return (jobs) =>
    assert.deepEqual(
      jobs.map((job) => eventOf(job).type),
      [type],
    );
};
const properties = (expected: unknown): ConformanceRow['stored'] => {
  return ([job]) => assert.deepEqual(eventOf(job).properties, expected);
};
const types = ['identify', 'track', 'page', 'screen', 'alias', 'group', 'merge', 'audiencelist'];

const events: ConformanceRow[] = [
  ...types.map((type) => row('1.2', `POST /v1/${type}`, 'an event', { body: track }, ok, typed(type))),
  row('1.2', 'POST /v1/batch', 'a batch', { body: `{"batch":[${track},${track}],"sentAt":"now"}` }, ok, 2),
  row(
    '1.2',
    'POST /v1/import',
    'events of several users',
    { body: `{"batch":[{"userId":"a"},{"userId":"b"}]}` },
    ok,
    2,
  ),
  row('1.2', 'PUT /v1/track', 'another method', { body: track }, [405, 'method not allowed']),
  row('1.2', 'GET /v1/batch', 'another method', get(), [405, 'method not allowed']),
  row('1.2', 'POST /v1/nothing', 'an unknown path', { body: track }, [404, '404 page not found']),
  row('1.2', 'POST /v1/track/', 'a slash too many', { body: track }, [404, '404 page not found']),
  row('1.2', 'POST /v1/%74rack', 'a path in another spelling', { body: track }, [404, '404 page not found']),
  row('1.2', 'POST /v1/pending-events', 'a path of former times', { body: track }, [404, '404 page not found']),
  row(
    '1.2',
    'POST /beacon/v1/batch?writeKey=key-1',
    'a beacon',
    {
      body: batch,
      headers: { Authorization: '', 'Content-Type': 'text/plain' },
    },
    ok,
    1,
  ),
  row('1.4 beacon', 'POST /beacon/v1/batch', 'no key in the query', { body: batch }, [
    401,
    'failed to read writekey from query params',
  ]),
  row('1.4 beacon', 'POST /beacon/v1/batch?writeKey=x', 'an unknown key', { body: batch }, [401, 'invalid write key']),
  row('1.4 beacon', 'POST /beacon/v1/batch?writeKey=key-off', 'a disabled source', { body: batch }, [
    404,
    'source is disabled',
  ]),
  row(
    '1.4 beacon',
    'POST /beacon/v1/batch?writeKey=%6bey-1&x=%ZZ',
    'a query in another spelling',
    { body: batch },
    ok,
    1,
  ),
];

const webhooks: ConformanceRow[] = [
  row(
    '1.5',
    'POST /v1/webhook?writeKey=key-hook',
    'the key in the query',
    { body: '{"order":1}', ...nobody },
    ok,
    properties({ order: 1 }),
  ),
  row(
    '1.5',
    'POST /v1/webhook?writeKey=key-hook',
    'the key of the query before that of the header',
    { body: '{"a":1}' },
    ok,
    1,
  ),
  row(
    '1.5',
    'POST /v1/webhook',
    'a form',
    {
      body: 'a=1&b=2',
      headers: { Authorization: basicAuth('key-hook'), 'Content-Type': 'application/x-www-form-urlencoded' },
    },
    ok,
    properties({ a: '1', b: '2' }),
  ),
  row(
    '1.5',
    'POST /v1/webhook',
    'a form in parts',
    {
      body: '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
      headers: { Authorization: basicAuth('key-hook'), 'Content-Type': 'multipart/form-data; boundary=x' },
    },
    ok,
    properties({ a: '1' }),
  ),
  row('1.5', 'GET /v1/webhook?writeKey=key-hook&a=1', 'a GET that carries an event', get(), ok, properties({ a: '1' })),
  row('1.5', 'GET /v1/webhook?writeKey=key-shop', 'a GET of a source that takes none', get(), [
    405,
    'method not allowed',
  ]),
  row('1.5', 'POST /v1/webhook', 'no key', { body: '{}', ...nobody }, [
    401,
    'failed to read writekey from query params',
  ]),
  row('1.5', 'POST /v1/webhook', 'a source that is none for webhooks', { body: '{}' }, [401, 'invalid write key']),
  row('1.5', 'POST /v1/webhook', 'no JSON', { body: '{', ...as('key-hook') }, [400, 'invalid json']),
];

const message = (change: Record<string, unknown> = {}): string => {
  const properties = { requestType: 'track', sourceID: 'elsewhere', workspaceID: 'ws', routingKey: 'a<<>>b<<>>c' };
  const payload = { messageId: 'i1', type: 'track', receivedAt: fixedNowText, request_ip: '::1', rudderId: 'r', n: 1 };
  // 2^60 + 1: no double holds it.
  return JSON.stringify([{ properties, payload: { ...payload, ...change } }]).replace(
    '"n":1',
    '"n":1152921504606846977',
  );
};
const retl = (destinationId: string, sourceId = 'source-retl'): RequestParts => ({
  body: '{"batch":[{"type":"record"}]}',
  ...bearer({
    'X-Rudder-Source-Id': sourceId,
    ...(destinationId === '' ? {} : { 'X-Rudder-Destination-Id': destinationId }),
  }),
});
const replay = (sourceId: string): RequestParts => ({
  body: '{"batch":[{"userId":"u1","receivedAt":"2020-01-01T00:00:00.000Z"}]}',
  ...bearer({ 'X-Rudder-Source-Id': sourceId }),
});

const internal: ConformanceRow[] = [
  row(
    '1.2',
    'POST /internal/v1/extract',
    'a row without identity',
    { body: '{"recordId":1}', ...keyAndToken },
    ok,
    typed('extract'),
  ),
  row('1.2', 'POST /internal/v1/extract', 'a key without the token', { body: '{"recordId":1}' }, noToken),
  row('1.2', 'POST /internal/v1/audiencelist', 'a list', { body: track, ...keyAndToken }, ok, typed('audiencelist')),
  row('1.3 retl', 'POST /internal/v1/retl', 'records for one destination', retl('dest-on'), ok, ([job]) =>
    assert.equal(JSON.parse(job?.parameters ?? '{}').destination_id, 'dest-on'),
  ),
  row('1.3 retl', 'POST /internal/v1/retl', 'records for all', retl(''), ok, 1),
  row('1.3 source id', 'POST /internal/v1/retl', 'none', { body: batch, ...bearer() }, [
    401,
    'failed to read source id from header',
  ]),
  row('1.3 source id', 'POST /internal/v1/retl', 'an unknown one', retl('', 'x'), [401, 'invalid source id']),
  row('1.3 source id', 'POST /internal/v1/retl', 'one of a disabled source', retl('', 'source-off'), [
    404,
    'source is disabled',
  ]),
  row('1.3 retl', 'POST /internal/v1/retl', 'an unknown destination', retl('x'), [400, 'invalid destination id']),
  row('1.3 retl', 'POST /internal/v1/retl', 'a disabled destination', retl('dest-off'), [
    404,
    'destination is disabled',
  ]),
  row(
    '1.3 replay',
    'POST /internal/v1/replay',
    'events with their time of receipt',
    replay('source-replay'),
    ok,
    ([job]) => assert.equal(job?.receivedAtMs, Date.UTC(2020, 0, 1)),
  ),
  row('1.3 replay', 'POST /internal/v1/replay', 'a source that is not for it', replay('source-1'), [
    401,
    'invalid replay source',
  ]),
  row('1.6', 'POST /internal/v1/batch', 'events byte by byte', { body: message(), ...bearer() }, ok, ([job]) => {
    assert.match(Buffer.from(job?.payload ?? []).toString(), /"n":1152921504606846977\}$/);
    const { message_id: messageId, source_id: sourceId } = JSON.parse(job?.parameters ?? '{}');
    assert.deepEqual([job?.userId, job?.messageId, messageId, sourceId], ['a<<>>b<<>>c', 'i1', 'i1', 'elsewhere']);
  }),
  ...['messageId', 'type', 'receivedAt', 'request_ip', 'rudderId'].map((name) =>
    row(
      '1.6',
      'POST /internal/v1/batch',
      `no ${name}`,
      { body: message({ [name]: undefined }), ...bearer() },
      notAnEvent,
    ),
  ),
  row(
    '1.6',
    'POST /internal/v1/batch',
    'a blank messageId',
    { body: message({ messageId: ' ' }), ...bearer() },
    notAnEvent,
  ),
  row('1.6', 'POST /internal/v1/batch', 'an empty list', { body: '[]', ...bearer() }, notAnEvent),
  row('1.6', 'POST /internal/v1/batch', 'no JSON', { body: '[{"payload":}]', ...bearer() }, [400, 'invalid json']),
  row('1.6', 'POST /internal/v1/batch', 'no token', { body: message(), ...nobody }, noToken),
];

const warehouse = ['GET fetch-tables', 'POST pending-events', 'POST trigger-upload', 'POST jobs', 'GET jobs/status'];
const facts: ConformanceRow[] = [
  ...warehouse.map((request) =>
    row('1.2', request.replace(' ', ' /internal/v1/warehouse/'), 'what is not here', { body: '{}', ...bearer() }, [
      501,
      'there is no warehouse service',
    ]),
  ),
  row('1.11', 'GET /internal/v2/job-status/run%201', 'a job run', bearer(), [200, '{"what":"status run 1"}']),
  row('1.11', 'GET /internal/v2/job-status/a%00b', 'a job run that Postgres could not spell', bearer(), [
    200,
    '{"what":"status ab"}',
  ]),
  row('1.11', 'GET /internal/v2/job-status/%ff', 'a job run that nobody can spell', bearer(), [
    404,
    '404 page not found',
  ]),
  row('1.11', 'GET /internal/v2/job-status/r', 'no token', nobody, noToken),
  row('1.11', 'POST /internal/v2/job-status/r', 'another method', bearer(), [405, 'method not allowed']),
  row('1.11', 'DELETE /internal/v2/job-status/r', 'a job run', bearer(), [200, '{"what":"deleteStatus r"}']),
  row('1.11', 'GET /internal/v2/job-status/r/failed-records', 'records', bearer(), [200, '{"what":"failedRecords r"}']),
  row('1.11', 'DELETE /internal/v2/job-status/r/failed-records', 'records', bearer(), [
    200,
    '{"what":"deleteFailedRecords r"}',
  ]),
  row('1.12', 'PUT /internal/drain/job/r', 'a job run', bearer(), [200, '{"what":"drain r"}']),
  row('1.10', 'GET /health', 'how it is', get(), [200]),
  row('1.10', 'GET /', 'the same', get(), [200]),
  row('1.10', 'GET /version', 'which build it is', get(), [
    200,
    '{"Version":"1.2.3","Commit":"","BuildDate":"","BuiltBy":"sluice","Features":["gzip-req-payload"]}',
  ]),
  row('1.2', 'GET /robots.txt', 'robots', get(), [200, 'User-agent: * \nDisallow: / \n']),
  row('1.2', 'GET /docs', 'people', get(), [200]),
  row('1.2', 'GET /docs/openapi.json', 'programs', get(), [200]),
  row('1.2', 'GET /sourceConfig/?writeKey=key-1', 'a browser', get(), [200]),
  row('1.2', 'GET /sourceConfig', 'no key', get(), [401, 'failed to read writekey from header']),
];

export const routeConformance: readonly ConformanceRow[] = [...events, ...webhooks, ...internal, ...facts];
