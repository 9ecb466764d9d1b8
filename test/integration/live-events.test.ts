// The source debugger over real HTTP: events that the gateway has committed appear in the stream of the admin server.

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { openAdminServer } from '../../actors/admin/admin-server.ts';
import { LiveStreams } from '../../actors/gateway/live-events.ts';
import { realSeams } from '../../runtime/seams.ts';
import { setup, track } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';
import { until } from '../support/until.ts';

async function open(t: TestContext, engine: (typeof httpEngines)[number]) {
  const fixture = await setup(t, engine);
  const { clock } = realSeams();
  const streams = new LiveStreams({
    live: fixture.live,
    clock,
    sourceByWriteKey: (writeKey) => fixture.workspace.current.sourceByWriteKey(writeKey),
  });
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: assert.fail };
  const admin = await openAdminServer({
    host: '127.0.0.1',
    port: 0,
    log,
    clock,
    probes: [],
    status: () => assert.fail('not asked for'),
    metrics: () => {},
    routes: [streams.route()],
  });
  t.after(async () => {
    streams.close();
    await admin.close();
  });
  return { ...fixture, admin, streams };
}

for (const engine of httpEngines) {
  describe(`the gateway on ${engine} shows`, () => {
    test('what it has committed, to who watches that source, and goes on when he leaves', async (t) => {
      const { answer, admin, storage, live } = await open(t, engine);
      assert.equal((await fetch(`${admin.url}live?writeKey=nobody`)).status, 404);
      const response = await fetch(`${admin.url}live?writeKey=key-1`);
      assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      assert.ok(reader !== undefined);
      let text = '';
      const read = async (wanted: string) => {
        while (!text.includes(wanted)) text += (await reader.read()).value ?? '';
      };
      await read(': watching');
      storage.decide = () => ({ kind: 'refused', reason: 'as the test wants it', sqlState: '22021' });
      await answer('/v1/track', { body: '{"userId":"u1","messageId":"never"}' });
      storage.decide = () => ({ kind: 'committed' });
      await answer('/v1/track', { body: track });
      await read('"messageId":"m1"');
      assert.ok(!text.includes('never'));
      await reader.cancel();
      await until(() => live.wanted('source-1') === 0);
      assert.deepEqual(await answer('/v1/track', { body: track }), [200, 'ok']);
    });

    test('nothing any more once it is closed', async (t) => {
      const { admin, streams } = await open(t, engine);
      const response = await fetch(`${admin.url}live?writeKey=key-1`);
      streams.close();
      assert.match(await response.text(), /^: watching/);
    });
  });
}
