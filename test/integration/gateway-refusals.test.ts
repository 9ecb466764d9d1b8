// What the gateway refuses, over real HTTP and on both engines: status, exact text, and that nothing is stored.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { constants, gzipSync } from 'node:zlib';
import { basicAuth, gzip, type RequestParts, requestBytes, setup, track } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

const brokenGzip = (() => {
  const bytes = gzipSync(track);
  bytes.fill(0xff, 12, 24);
  return bytes;
})();

interface RefusalCase {
  name: string;
  path?: string;
  parts: RequestParts;
  status: number;
  text: string;
}

const refusals: RefusalCase[] = [
  {
    name: 'no credentials',
    parts: { body: track, headers: { Authorization: '' } },
    status: 401,
    text: 'failed to read writekey from header',
  },
  {
    name: 'an empty write key',
    parts: { body: track, headers: { Authorization: basicAuth('') } },
    status: 401,
    text: 'failed to read writekey from header',
  },
  {
    name: 'another scheme',
    parts: { body: track, headers: { Authorization: 'Bearer abc' } },
    status: 401,
    text: 'failed to read writekey from header',
  },
  {
    name: 'an unknown write key',
    parts: { body: track, headers: { Authorization: basicAuth('nobody') } },
    status: 401,
    text: 'invalid write key',
  },
  {
    name: 'a disabled source',
    parts: { body: track, headers: { Authorization: basicAuth('key-off') } },
    status: 404,
    text: 'source is disabled',
  },
  {
    name: 'an unknown write key before the body',
    parts: { body: '{', headers: { Authorization: basicAuth('nobody') } },
    status: 401,
    text: 'invalid write key',
  },
  { name: 'an empty body', parts: { body: '' }, status: 400, text: 'request body is nil' },
  { name: 'broken JSON', parts: { body: '{"userId":"u1",}' }, status: 400, text: 'invalid json' },
  {
    name: 'broken JSON in a batch',
    path: '/v1/batch',
    parts: { body: '{"batch":[{"userId":"u1"}]' },
    status: 400,
    text: 'invalid json',
  },
  {
    name: 'bytes that are not UTF-8',
    parts: { body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) },
    status: 400,
    text: 'invalid json',
  },
  {
    name: 'a single event that is no object',
    parts: { body: '[1]' },
    status: 400,
    text: 'event is not a valid rudder event',
  },
  {
    name: 'a batch that is no array',
    path: '/v1/batch',
    parts: { body: '{"batch":{}}' },
    status: 400,
    text: 'event is not a valid rudder event',
  },
  {
    name: 'a batch with a stranger and no good event',
    path: '/v1/batch',
    parts: { body: '{"batch":["x",{"type":"track"}]}' },
    status: 400,
    text: 'event is not a valid rudder event',
  },
  {
    name: 'an empty batch',
    path: '/v1/batch',
    parts: { body: '{"batch":[]}' },
    status: 400,
    text: 'empty batch payload',
  },
  { name: 'a missing batch', path: '/v1/batch', parts: { body: '{}' }, status: 400, text: 'empty batch payload' },
  {
    name: 'an event without identity',
    parts: { body: '{"userId":" ","anonymousId":null}' },
    status: 400,
    text: 'request neither has anonymousId nor userId',
  },
  {
    name: 'a batch in which no event has an identity',
    path: '/v1/batch',
    parts: { body: '{"batch":[{"type":"page"},{"type":"track"}]}' },
    status: 400,
    text: 'request neither has anonymousId nor userId',
  },
  {
    name: 'the first fault of a batch',
    path: '/v1/batch',
    parts: { body: '{"batch":[{"type":"track"},7]}' },
    status: 400,
    text: 'request neither has anonymousId nor userId',
  },
  {
    name: 'broken gzip',
    parts: { body: brokenGzip, headers: { 'Content-Encoding': 'gzip' } },
    status: 500,
    text: 'failed to read body from request',
  },
  {
    name: 'plain text that claims to be gzip',
    parts: { body: track, headers: { 'Content-Encoding': 'gzip' } },
    status: 500,
    text: 'failed to read body from request',
  },
  {
    name: 'gzip cut short',
    parts: { body: gzipSync(track).subarray(0, 30), headers: { 'Content-Encoding': 'gzip' } },
    status: 500,
    text: 'failed to read body from request',
  },
  { name: 'gzip of broken JSON', parts: gzip('{'), status: 400, text: 'invalid json' },
  {
    name: 'an encoding it does not know',
    parts: { body: gzipSync(track), headers: { 'Content-Encoding': 'br' } },
    status: 400,
    text: 'invalid json',
  },
  { name: 'an unknown route', path: '/v1/nothing', parts: { body: track }, status: 404, text: '404 page not found' },
  {
    name: 'a known route with a slash too many',
    path: '/v1/track/',
    parts: { body: track },
    status: 404,
    text: '404 page not found',
  },
  { name: 'another method', parts: { method: 'PUT', body: track }, status: 405, text: 'method not allowed' },
];

for (const engine of httpEngines) {
  describe(`the gateway on ${engine} refuses`, () => {
    for (const { name, path = '/v1/track', parts, status, text } of refusals) {
      test(`${name} with ${status} and stores nothing`, async (t) => {
        const { send, storage } = await setup(t, engine);
        const response = await send(path, parts);
        assert.deepEqual([response.status, response.body], [status, `${text}\n`]);
        assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
        assert.equal(response.headers['x-content-type-options'], 'nosniff');
        const after = await send('/v1/track', { body: track });
        assert.deepEqual([after.status, after.body], [200, 'ok']);
        assert.equal(storage.stored.length, 1, 'expected only the second request to be stored');
      });
    }

    test('a body over the limit with 413, sent plain, in chunks or packed', async (t) => {
      const { send, client, storage } = await setup(t, engine, { flags: { 'gateway.requestBytesMax': '2000' } });
      const large = `{"userId":"u1","a":"${'x'.repeat(2_000)}"}`;
      const plain = await send('/v1/track', { body: large });
      assert.deepEqual([plain.status, plain.body], [413, 'request size exceeds max limit\n']);
      const packed = await send('/v1/track', gzip(large));
      assert.deepEqual([packed.status, packed.body], [413, 'request size exceeds max limit\n']);
      const chunk = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`;
      const chunked = requestBytes('/v1/track', { headers: { 'Content-Length': '', 'Transfer-Encoding': 'chunked' } });
      await client.send(Buffer.concat([chunked, Buffer.from(chunk)]));
      assert.equal((await client.response())?.status, 413);
      assert.deepEqual(storage.commits, []);
    });

    test('a wrong write key with 401 even when the body is too large', async (t) => {
      const { answer } = await setup(t, engine, { flags: { 'gateway.requestBytesMax': '2000' } });
      const headers = { Authorization: basicAuth('nobody') };
      assert.deepEqual(await answer('/v1/track', { body: 'x'.repeat(3_000), headers }), [401, 'invalid write key\n']);
    });

    test('many bombs at once with 413 and bounded memory', async (t) => {
      const { connect, storage } = await setup(t, engine);
      const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024, 0x20), { level: constants.Z_BEST_COMPRESSION });
      const bytes = requestBytes('/v1/track', { body: bomb, headers: { 'Content-Encoding': 'gzip' } });
      const before = process.memoryUsage().rss;
      const clients = await Promise.all(Array.from({ length: 40 }, connect));
      await Promise.all(clients.map((client) => client.send(bytes)));
      const responses = await Promise.all(clients.map((client) => client.response()));
      for (const response of responses) assert.equal(response?.status, 413);
      const grownBytes = process.memoryUsage().rss - before;
      assert.ok(
        grownBytes < 200 * 1024 * 1024,
        `expected far less than one bomb in memory, got ${grownBytes} bytes more`,
      );
      assert.deepEqual(storage.commits, []);
    });
  });
}
