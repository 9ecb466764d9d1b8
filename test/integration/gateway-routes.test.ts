// Every route of the gateway over real HTTP and on both engines: who may use it, what it answers, what it stores.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pixelGif } from '../../actors/gateway/pixel.ts';
import type { Job } from '../../actors/job.ts';
import { basicAuth, fixedNowText, type RequestParts, setup, track } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

const token = 'secret-token';
const bearer = { Authorization: `Bearer ${token}` };
const keyAndToken = { Authorization: `Basic ${Buffer.from(`key-1:${token}`).toString('base64')}` };
const nobody = { Authorization: '' };
const batch = `{"batch":[${track}]}`;
const internalMessage = {
  properties: { requestType: 'track', sourceID: 'elsewhere', workspaceID: 'ws', routingKey: 'a<<>>b<<>>c' },
  payload: { messageId: 'i1', type: 'track', receivedAt: fixedNowText, request_ip: '::1', rudderId: 'r', n: 1 },
};
const internalBatch = (change: (message: typeof internalMessage) => void = () => {}) => {
  const message = structuredClone(internalMessage);
  change(message);
  // 2^60 + 1: no double holds it.
  return JSON.stringify([message]).replace('"n":1', '"n":1152921504606846977');
};

interface RouteCase {
  name: string;
  path: string;
  parts: RequestParts;
  status: number;
  /** With the newline that errors end with. */
  text?: string;
  /** Checks the jobs that were stored; default: none were. */
  stored?: (jobs: Job[]) => void;
}

const one = (type: string) => (jobs: Job[]) => {
  assert.equal(jobs.length, 1);
  assert.equal(eventOf(jobs[0]).type, type);
};

const cases: RouteCase[] = [
  {
    name: 'import',
    path: '/v1/import',
    parts: { body: batch },
    status: 200,
    text: 'ok',
    stored: (jobs) => assert.equal(jobs.length, 1),
  },
  {
    name: 'audiencelist',
    path: '/v1/audiencelist',
    parts: { body: track },
    status: 200,
    text: 'ok',
    stored: one('audiencelist'),
  },
  {
    name: 'a beacon',
    path: '/beacon/v1/batch?writeKey=key-1',
    parts: { body: batch, headers: { ...nobody, 'Content-Type': 'text/plain' } },
    status: 200,
    text: 'ok',
    stored: (jobs) => assert.equal(jobs.length, 1),
  },
  {
    name: 'a beacon without write key',
    path: '/beacon/v1/batch',
    parts: { body: batch },
    status: 401,
    text: 'failed to read writekey from query params\n',
  },
  {
    name: 'a beacon of an unknown write key',
    path: '/beacon/v1/batch?writeKey=x',
    parts: { body: batch },
    status: 401,
    text: 'invalid write key\n',
  },
  {
    name: 'a webhook by query',
    path: '/v1/webhook?writeKey=key-hook',
    parts: { body: '{"order":1}', headers: nobody },
    status: 200,
    text: 'ok',
    stored: (jobs) => assert.deepEqual(eventOf(jobs[0]).properties, { order: 1 }),
  },
  {
    name: 'a webhook by header, a form',
    path: '/v1/webhook',
    parts: {
      body: 'a=1&b=2',
      headers: { Authorization: basicAuth('key-hook'), 'Content-Type': 'application/x-www-form-urlencoded' },
    },
    status: 200,
    text: 'ok',
    stored: (jobs) => assert.deepEqual(eventOf(jobs[0]).properties, { a: '1', b: '2' }),
  },
  {
    name: 'a webhook by GET',
    path: '/v1/webhook?writeKey=key-hook&a=1',
    parts: { method: 'GET', headers: nobody },
    status: 200,
    text: 'ok',
    stored: (jobs) => assert.deepEqual(eventOf(jobs[0]).properties, { a: '1' }),
  },
  {
    name: 'a GET for a source that takes none, loudly',
    path: '/v1/webhook?writeKey=key-shop',
    parts: { method: 'GET', headers: nobody },
    status: 405,
    text: 'method not allowed\n',
  },
  {
    name: 'a webhook without write key',
    path: '/v1/webhook',
    parts: { body: '{}', headers: nobody },
    status: 401,
    text: 'failed to read writekey from query params\n',
  },
  {
    name: 'a webhook for a source that is none',
    path: '/v1/webhook',
    parts: { body: '{}' },
    status: 401,
    text: 'invalid write key\n',
  },
  {
    name: 'extract, which needs no identity',
    path: '/internal/v1/extract',
    parts: { body: '{"recordId":1}', headers: keyAndToken },
    status: 200,
    text: 'ok',
    stored: one('extract'),
  },
  {
    name: 'extract with a wrong token',
    path: '/internal/v1/extract',
    parts: { body: '{"recordId":1}' },
    status: 401,
    text: 'invalid admin token\n',
  },
  {
    name: 'retl for one destination',
    path: '/internal/v1/retl',
    parts: {
      body: '{"batch":[{"type":"record"}]}',
      headers: { ...bearer, 'X-Rudder-Source-Id': 'source-retl', 'X-Rudder-Destination-Id': 'dest-on' },
    },
    status: 200,
    text: 'ok',
    stored: (jobs) => assert.equal(JSON.parse(jobs[0]?.parameters ?? '{}').destination_id, 'dest-on'),
  },
  {
    name: 'retl without a source id',
    path: '/internal/v1/retl',
    parts: { body: batch, headers: bearer },
    status: 401,
    text: 'failed to read source id from header\n',
  },
  {
    name: 'retl of an unknown source',
    path: '/internal/v1/retl',
    parts: { body: batch, headers: { ...bearer, 'X-Rudder-Source-Id': 'x' } },
    status: 401,
    text: 'invalid source id\n',
  },
  {
    name: 'retl of a disabled source',
    path: '/internal/v1/retl',
    parts: { body: batch, headers: { ...bearer, 'X-Rudder-Source-Id': 'source-off' } },
    status: 404,
    text: 'source is disabled\n',
  },
  {
    name: 'retl for an unknown destination',
    path: '/internal/v1/retl',
    parts: {
      body: batch,
      headers: { ...bearer, 'X-Rudder-Source-Id': 'source-retl', 'X-Rudder-Destination-Id': 'x' },
    },
    status: 400,
    text: 'invalid destination id\n',
  },
  {
    name: 'retl for a disabled destination',
    path: '/internal/v1/retl',
    parts: {
      body: batch,
      headers: { ...bearer, 'X-Rudder-Source-Id': 'source-retl', 'X-Rudder-Destination-Id': 'dest-off' },
    },
    status: 404,
    text: 'destination is disabled\n',
  },
  {
    name: 'a replay, which keeps the time of receipt',
    path: '/internal/v1/replay',
    parts: {
      body: '{"batch":[{"userId":"u1","receivedAt":"2020-01-01T00:00:00.000Z"}]}',
      headers: { ...bearer, 'X-Rudder-Source-Id': 'source-replay' },
    },
    status: 200,
    text: 'ok',
    stored: (jobs) => assert.equal(jobs[0]?.receivedAtMs, Date.UTC(2020, 0, 1)),
  },
  {
    name: 'a replay to a source that is not for it',
    path: '/internal/v1/replay',
    parts: { body: batch, headers: { ...bearer, 'X-Rudder-Source-Id': 'source-1' } },
    status: 401,
    text: 'invalid replay source\n',
  },
  {
    name: 'an internal batch byte by byte, with its message id',
    path: '/internal/v1/batch',
    parts: { body: internalBatch(), headers: bearer },
    status: 200,
    text: 'ok',
    stored: ([job]) => {
      assert.match(Buffer.from(job?.payload ?? []).toString(), /"n":1152921504606846977\}$/);
      assert.deepEqual([job?.userId, job?.messageId], ['a<<>>b<<>>c', 'i1']);
      assert.equal(JSON.parse(job?.parameters ?? '{}').message_id, 'i1');
    },
  },
  {
    name: 'an internal batch without a message id',
    path: '/internal/v1/batch',
    parts: { body: internalBatch(({ payload }) => Object.assign(payload, { messageId: ' ' })), headers: bearer },
    status: 400,
    text: 'event is not a valid rudder event\n',
  },
  {
    name: 'an internal batch that is empty',
    path: '/internal/v1/batch',
    parts: { body: '[]', headers: bearer },
    status: 400,
    text: 'event is not a valid rudder event\n',
  },
  {
    name: 'an internal batch that is no JSON',
    path: '/internal/v1/batch',
    parts: { body: '[{"payload":}]', headers: bearer },
    status: 400,
    text: 'invalid json\n',
  },
  {
    name: 'an internal batch without the token',
    path: '/internal/v1/batch',
    parts: { body: internalBatch(), headers: nobody },
    status: 401,
    text: 'invalid admin token\n',
  },
  {
    name: 'the status of a job run',
    path: '/internal/v2/job-status/run%201',
    parts: { method: 'GET', headers: bearer },
    status: 200,
    text: '{"what":"status"}',
  },
  {
    name: 'the failed records of a job run',
    path: '/internal/v2/job-status/r/failed-records',
    parts: { method: 'DELETE', headers: bearer },
    status: 200,
    text: '{"what":"deleteFailedRecords"}',
  },
  {
    name: 'a drain',
    path: '/internal/drain/job/r',
    parts: { method: 'PUT', headers: bearer },
    status: 200,
    text: '{"what":"drain"}',
  },
  {
    name: 'robots',
    path: '/robots.txt',
    parts: { method: 'GET', headers: nobody },
    status: 200,
    text: 'User-agent: * \nDisallow: / \n',
  },
  {
    name: 'its version',
    path: '/version',
    parts: { method: 'GET', headers: nobody },
    status: 200,
    text: '{"Version":"1.2.3","Commit":"","BuildDate":"","BuiltBy":"sluice","Features":["gzip-req-payload"]}',
  },
  {
    name: 'the wrong method of a job run',
    path: '/internal/v2/job-status/r',
    parts: { method: 'POST', headers: bearer },
    status: 405,
    text: 'method not allowed\n',
  },
];

for (const engine of httpEngines) {
  describe(`the gateway on ${engine} answers`, () => {
    for (const { name, path, parts, status, text, stored } of cases) {
      test(name, async (t) => {
        const { send, storage } = await setup(t, engine, { flags: { 'admin.token': token } });
        const response = await send(path, parts);
        assert.deepEqual([response.status, response.body], [status, text]);
        if (stored === undefined) assert.equal(storage.stored.length, 0);
        else stored(storage.stored);
      });
    }

    test('every internal path like one that does not exist, when there is no token', async (t) => {
      const { answer, storage } = await setup(t, engine);
      for (const path of ['/internal/v1/batch', '/internal/v1/extract', '/internal/drain/job/r']) {
        assert.deepEqual(await answer(path, { body: internalBatch(), headers: bearer }), [404, '404 page not found\n']);
      }
      assert.equal(storage.stored.length, 0);
    });

    test('a pixel with the same image whatever becomes of it', async (t) => {
      const { send, storage } = await setup(t, engine);
      const good = 'writeKey=key-1&anonymousId=%22a1%22&event=Seen&properties.total=3&__proto__=x';
      for (const path of [`/pixel/v1/track?${good}`, '/pixel/v1/track?writeKey=key-1&userId=u', '/pixel/v1/page']) {
        const response = await send(path, { method: 'GET', headers: nobody });
        assert.deepEqual([response.status, response.headers['content-type']], [200, 'image/gif']);
        assert.equal(response.headers['content-length'], '43');
        assert.equal(response.body, Buffer.from(pixelGif).toString());
      }
      assert.equal(storage.stored.length, 1);
      const event = eventOf(storage.stored[0]);
      assert.deepEqual(
        [event.type, event.event, event.anonymousId, event.properties, event.originalTimestamp, event.channel],
        ['track', 'Seen', 'a1', { total: '3' }, fixedNowText, 'web'],
      );
    });

    test('a page pixel with a name', async (t) => {
      const { send, eventStored } = await setup(t, engine);
      await send('/pixel/v1/page?writeKey=key-1&userId=u', { method: 'GET', headers: nobody });
      assert.deepEqual([eventStored().type, eventStored().name], ['page', 'Unknown Page']);
    });

    test('what a browser SDK asks for first', async (t) => {
      const { send } = await setup(t, engine);
      const query = '?p=npm&v=3.34.1&build=modern&writeKey=key-1';
      for (const path of ['/sourceConfig', `/sourceConfig/${query}`]) {
        const origin = { Origin: 'https://shop.example' };
        const response = await send(path, { method: 'GET', headers: origin });
        assert.equal(response.status, 200);
        assert.equal(response.headers['access-control-allow-origin'], 'https://shop.example');
        const { source, updatedAt, consentManagementMetadata } = JSON.parse(response.body);
        assert.deepEqual([source.id, source.enabled, source.destinations], ['source-1', true, []]);
        assert.deepEqual([updatedAt, consentManagementMetadata], [fixedNowText, {}]);
      }
      const refused = await send('/sourceConfig', { method: 'GET', headers: nobody });
      assert.deepEqual([refused.status, refused.body], [401, 'failed to read writekey from header\n']);
    });

    test('a preflight with the methods of the path', async (t) => {
      const { send } = await setup(t, engine);
      const headers = { ...nobody, Origin: 'https://a.example' };
      const methods = async (path: string) =>
        (await send(path, { method: 'OPTIONS', headers })).headers['access-control-allow-methods'];
      assert.equal(await methods('/v1/webhook'), 'POST, GET, HEAD');
      assert.equal(await methods('/v1/track'), 'POST');
      assert.equal(await methods('/nothing'), 'GET, POST, HEAD');
    });

    test('a webhook that fails, and has it kept without its write key', async (t) => {
      const { answer, webhookFailures, storage } = await setup(t, engine);
      const path = '/v1/webhook?writeKey=key-hook&a=1';
      assert.deepEqual(await answer(path, { body: '{', headers: nobody }), [400, 'invalid json\n']);
      const [failure] = webhookFailures;
      assert.deepEqual([failure?.sourceId, failure?.status, failure?.reason], ['source-hook', 400, 'invalid json']);
      assert.deepEqual([failure?.request.query, failure?.request.body.toString()], ['a=1', '{']);
      assert.equal(storage.stored.length, 0);
    });
  });
}

function eventOf(job: Job | undefined): Record<string, unknown> {
  return JSON.parse(Buffer.from(job?.payload ?? []).toString());
}
