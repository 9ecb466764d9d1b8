// One bad event never takes its neighbours with it: the good ones are stored, and who asks is told about each.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setup } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';
import { jobsOf } from '../support/recording-storage.ts';

const mixed = JSON.stringify({
  batch: [{ userId: 'u1', messageId: 'm0' }, 'stranger', { messageId: 'm2' }, { userId: 'u1', pad: 'x'.repeat(2_000) }],
});
const flags = { 'gateway.eventBytesMax': '1024' };
const asking = { 'X-Sluice-Verdicts': '1' };
const newId = '00000000-0000-4000-8000-000000000000';

for (const engine of httpEngines) {
  describe(`the gateway on ${engine}`, () => {
    test('stores the good events of a batch and answers like the field about the first bad one', async (t) => {
      const { answer, storage } = await setup(t, engine, { flags });
      assert.deepEqual(await answer('/v1/batch', { body: mixed }), [400, 'event is not a valid rudder event\n']);
      assert.deepEqual(
        storage.stored.map(({ messageId }) => messageId),
        ['m0'],
      );
      assert.equal(storage.commits[0]?.ledger[0]?.count, 1);
    });

    test('tells about every event when it is asked to', async (t) => {
      const { send } = await setup(t, engine, { flags });
      const response = await send('/v1/batch', { body: mixed, headers: asking });
      assert.equal(response.status, 200);
      assert.deepEqual(JSON.parse(response.body), {
        accepted: 1,
        rejected: 3,
        verdicts: [
          { index: 0, messageId: 'm0', ok: true },
          { index: 1, messageId: '', ok: false, reason: 'event is not a valid rudder event' },
          { index: 2, messageId: 'm2', ok: false, reason: 'request neither has anonymousId nor userId' },
          { index: 3, messageId: '', ok: false, reason: 'request size exceeds max limit' },
        ],
      });
      const single = await send('/v1/track', { body: '{"userId":"u"}', headers: asking });
      assert.deepEqual(JSON.parse(single.body).verdicts, [{ index: 0, messageId: newId, ok: true }]);
      const none = await send('/v1/batch', { body: '{"batch":[{}]}', headers: asking });
      assert.deepEqual([none.status, JSON.parse(none.body).accepted], [400, 0]);
    });

    test('tells the clients of a source whose configuration wants it, unless they do not', async (t) => {
      const { send, answer, workspace } = await setup(t, engine);
      const { snapshot } = workspace.current;
      const sources = snapshot.sources.map((source) => ({ ...source, config: { verdicts: true } }));
      workspace.publish({ ...snapshot, version: 2, sources });
      const body = '{"batch":[{"userId":"u"},1]}';
      const told = await send('/v1/batch', { body });
      assert.deepEqual([told.status, JSON.parse(told.body).accepted], [200, 1]);
      const untold = await answer('/v1/batch', { body, headers: { 'X-Sluice-Verdicts': '0' } });
      assert.deepEqual(untold, [400, 'event is not a valid rudder event\n']);
    });

    test('has nothing against a request that was refused whole and stored in pieces', async (t) => {
      const { answer, storage } = await setup(t, engine, { flags: { 'admin.token': 'secret' } });
      storage.decide = ({ jobs: [{ count = 0 } = {}] }) =>
        count > 1 ? { kind: 'refused', reason: 'too much at once', sqlState: '54000' } : { kind: 'committed' };
      const body = '{"batch":[{"userId":"a"},{"userId":"b"}]}';
      assert.deepEqual(await answer('/v1/batch', { body }), [200, 'ok']);
      const payload = { messageId: 'm', type: 't', receivedAt: '2026-01-01T00:00:00Z', request_ip: '', rudderId: 'r' };
      const message = { properties: { sourceID: 's', workspaceID: 'w' }, payload };
      const headers = { Authorization: 'Bearer secret' };
      const internal = { body: JSON.stringify([message, message]), headers };
      assert.deepEqual(await answer('/internal/v1/batch', internal), [200, 'ok']);
      assert.equal(storage.stored.length, 4);
    });

    test('names the event that Postgres refuses and stores its neighbours in order', async (t) => {
      const { send, storage, gateway } = await setup(t, engine);
      storage.decide = (commit) =>
        jobsOf(commit).some(({ messageId }) => messageId === 'm5')
          ? { kind: 'refused', reason: 'as the test wants it', sqlState: '22021' }
          : { kind: 'committed' };
      const batch = Array.from({ length: 9 }, (_, index) => ({ userId: 'u', messageId: `m${index}` }));
      const response = await send('/v1/batch', { body: JSON.stringify({ batch }), headers: asking });
      const { verdicts } = JSON.parse(response.body) as { verdicts: { ok: boolean; index: number; reason?: string }[] };
      assert.deepEqual(
        verdicts.filter(({ ok }) => !ok).map(({ index, reason }) => [index, reason]),
        [[5, 'event could not be stored']],
      );
      const ids = batch.map(({ messageId }) => messageId).filter((id) => id !== 'm5');
      assert.deepEqual(
        storage.stored.map(({ messageId }) => messageId),
        ids,
      );
      assert.equal(gateway.bytesWaiting, 0);
    });
  });
}
