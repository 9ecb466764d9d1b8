// Bodies that are too large, over real HTTP and on both engines; all other refusals stand in the conformance table.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { constants, gzipSync } from 'node:zlib';
import { basicAuth, gzip, requestBytes, setup } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

for (const engine of httpEngines) {
  describe(`the gateway on ${engine} refuses`, () => {
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
