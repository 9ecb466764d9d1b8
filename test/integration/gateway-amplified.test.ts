// Requests that cost more than they weigh, on both engines: texts that every event of a request would carry, ids that no
// index could hold, and paths that end the stack.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setup, track } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

const indexedBytesMax = 2_700;
const long = 'é'.repeat(7_000);

for (const engine of httpEngines) {
  describe(`the gateway on ${engine}`, () => {
    test('does not give every event of a batch the long headers of its request', async (t) => {
      const { answer, storage } = await setup(t, engine);
      const headers = {
        AnonymousId: 'a'.repeat(9_000),
        traceparent: 'b'.repeat(9_000),
        'X-Forwarded-For': 'c'.repeat(9_000),
      };
      const body = `{"batch":[${track},${track}]}`;
      assert.deepEqual(await answer('/v1/batch', { body, headers }), [200, 'ok']);
      for (const { userId, parameters, payload } of storage.stored) {
        assert.ok(userId.length + parameters.length + payload.byteLength < 1_500, 'expected a row of its own size');
      }
    });

    test('keeps long ids in the event, and what an index holds in the columns', async (t) => {
      const { answer, storage } = await setup(t, engine, { flags: { 'admin.token': 'secret' } });
      const event = (end: string) =>
        `{"userId":"u${long}${end}","anonymousId":"a${long}${end}","messageId":"m${long}${end}"`;
      const needed = ',"type":"track","receivedAt":"2026-01-01T00:00:00Z","request_ip":"","rudderId":"r"}';
      const properties = JSON.stringify({
        sourceID: 's',
        workspaceID: 'w',
        routingKey: `${long}<<>>${long}<<>>${long}`,
      });
      const headers = { Authorization: 'Bearer secret' };
      const message = `[{"properties":${properties},"payload":${event('1')}${needed}}]`;
      assert.deepEqual(await answer('/internal/v1/batch', { body: message, headers }), [200, 'ok']);
      for (const end of ['1', '2', '1'])
        assert.deepEqual(await answer('/v1/track', { body: `${event(end)}}` }), [200, 'ok']);
      for (const { userId, messageId, payload } of storage.stored) {
        assert.ok(Buffer.byteLength(userId) < indexedBytesMax && Buffer.byteLength(messageId) < indexedBytesMax);
        assert.equal(userId.split('<<>>').length, 3);
        assert.ok(Buffer.from(payload).includes(`"messageId":"m${long}`));
      }
      const [, first, second, again] = storage.stored;
      assert.notEqual(first?.userId, second?.userId);
      assert.notEqual(first?.messageId, second?.messageId);
      assert.deepEqual([first?.userId, first?.messageId], [again?.userId, again?.messageId]);
    });

    test('cuts the names of job runs to what an index holds of several of them', async (t) => {
      const { answer, storage } = await setup(t, engine);
      const sources = JSON.stringify({ job_run_id: long, task_run_id: `${'a'.repeat(254)}é` });
      const body = `{"userId":"u","context":{"sources":${sources}}}`;
      assert.deepEqual(await answer('/v1/track', { body }), [200, 'ok']);
      const { source_job_run_id: run, source_task_run_id: task } = JSON.parse(storage.stored[0]?.parameters ?? '{}');
      assert.deepEqual([run, task], ['é'.repeat(127), 'a'.repeat(254)]);
    });

    test('shows the image whatever depth a pixel asks for', async (t) => {
      const { send, logged } = await setup(t, engine);
      const path = `/pixel/v1/track?writeKey=key-1&userId=u&event=e&${'a.'.repeat(6_000)}a=1`;
      const response = await send(path, { method: 'GET' });
      assert.deepEqual([response.status, response.headers['content-type']], [200, 'image/gif']);
      assert.deepEqual(
        logged.filter(({ level }) => level === 'error'),
        [],
      );
    });
  });
}
