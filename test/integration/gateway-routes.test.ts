// What browsers and webhooks need beyond the conformance table, over real HTTP and on both engines.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fixedNowText, setup } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

const nobody = { Authorization: '' };

for (const engine of httpEngines) {
  describe(`the gateway on ${engine} answers`, () => {
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
