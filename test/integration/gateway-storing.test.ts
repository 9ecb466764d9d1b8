// How the gateway stores: one commit per turn, answers after it, and what clients are told when storage is slow,
// gone, full or refuses.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RuntimeError } from '../../runtime/errors.ts';
import { requestBytes, setup, track } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';
import { jobsOf } from '../support/recording-storage.ts';
import { until } from '../support/until.ts';

for (const engine of httpEngines) {
  describe(`the gateway on ${engine} stores`, () => {
    test('all requests of one turn in one commit', async (t) => {
      const { connect, gateway, storage, turns } = await setup(t, engine);
      turns.holding = true;
      const clients = await Promise.all(Array.from({ length: 100 }, connect));
      const bodies = clients.map((_, index) => JSON.stringify({ userId: `u${index}`, messageId: `m${index}` }));
      await Promise.all(
        clients.map((client, index) => client.send(requestBytes('/v1/track', { body: bodies[index] ?? '' }))),
      );
      await until(() => gateway.inFlight === 100);
      assert.deepEqual([turns.held.length, storage.commits.length], [1, 0]);
      turns.held[0]?.();
      const responses = await Promise.all(clients.map((client) => client.response()));
      for (const response of responses) assert.equal(response?.body, 'ok');
      const expected = bodies.map((_, index) => `m${index}`).sort();
      assert.deepEqual(storage.stored.map(({ messageId }) => messageId).sort(), expected);
      assert.equal(storage.commits.length, 1);
      assert.equal(storage.commits[0]?.jobs[0]?.count, 100);
      assert.deepEqual(
        storage.commits[0].ledger.map(({ count }) => count),
        [100],
      );
    });

    test('nothing before its commit is answered', async (t) => {
      const { gateway, client, storage } = await setup(t, engine);
      storage.decide = () => undefined;
      await client.send(requestBytes('/v1/track', { body: track }));
      await storage.arrived(1);
      assert.equal(gateway.inFlight, 1);
      assert.ok(gateway.bytesWaiting > 0);
      storage.held[0]?.reply({ kind: 'committed' });
      assert.equal((await client.response())?.body, 'ok');
      assert.equal(gateway.bytesWaiting, 0);
    });

    for (const code of ['ASK_TIMEOUT', 'MAILBOX_FULL', 'THREAD_LOST', 'DRAINING', 'HANDLER_FAILED'] as const) {
      test(`and asks to send again when storage fails with ${code}`, async (t) => {
        const { send, storage, gateway, logged } = await setup(t, engine);
        storage.decide = () => new RuntimeError(code, 'as the test wants it');
        for (let attempt = 0; attempt < 3; attempt += 1) {
          const response = await send('/v1/track', { body: track });
          assert.deepEqual([response.status, response.body], [503, 'service unavailable\n']);
          assert.equal(response.headers['retry-after'], '1');
        }
        assert.equal(gateway.bytesWaiting, 0);
        assert.equal(
          logged.filter(({ level }) => level === 'warn').length,
          1,
          'expected one warning, not one per request',
        );
        storage.decide = () => ({ kind: 'committed' });
        assert.equal((await send('/v1/track', { body: track })).status, 200);
        assert.ok(logged.some(({ level, text }) => level === 'info' && text.includes('available again')));
      });
    }

    test('no event while the disk is nearly full, and goes on afterwards', async (t) => {
      const { connect, disk, storage } = await setup(t, engine);
      const client = await connect();
      disk.low = true;
      await client.send(requestBytes('/v1/track', { body: track }));
      const refused = await client.response();
      assert.deepEqual([refused?.status, refused?.headers['retry-after']], [503, '1']);
      assert.equal(storage.commits.length, 0);
      disk.low = false;
      await client.send(requestBytes('/v1/track', { body: track }));
      assert.equal((await client.response())?.status, 200);
    });

    test('no event of a workspace over its quota, while others go on', async (t) => {
      const { connect, workspace, fullWorkspaces, storage } = await setup(t, engine);
      const client = await connect();
      const [source] = workspace.current.snapshot.sources;
      assert.ok(source);
      fullWorkspaces.add(source.workspaceId);
      await client.send(requestBytes('/v1/track', { body: track }));
      const refused = await client.response();
      assert.deepEqual([refused?.status, refused?.headers['retry-after']], [429, '10']);
      assert.equal(storage.commits.length, 0);
      fullWorkspaces.clear();
      fullWorkspaces.add('another workspace');
      await client.send(requestBytes('/v1/track', { body: track }));
      assert.equal((await client.response())?.status, 200);
    });

    test('no more than fits, and recovers', async (t) => {
      const { connect, storage } = await setup(t, engine, {
        flags: { 'gateway.storeBytesMax': '1048576', 'gateway.requestBytesMax': '1000000' },
      });
      storage.decide = () => undefined;
      const [first, second] = [await connect(), await connect()];
      const large = JSON.stringify({ userId: 'u1', text: 'x'.repeat(600_000) });
      await first.send(requestBytes('/v1/track', { body: large }));
      await storage.arrived(1);
      await second.send(requestBytes('/v1/track', { body: track.padEnd(500_000) }));
      const refused = await second.response();
      assert.equal(refused?.status, 503);
      assert.equal(refused.headers['retry-after'], '1');
      storage.held[0]?.reply({ kind: 'committed' });
      assert.equal((await first.response())?.status, 200);
      storage.decide = () => ({ kind: 'committed' });
      await second.send(requestBytes('/v1/track', { body: large }));
      assert.equal((await second.response())?.status, 200);
    });

    test('one batch to see whether storage is back, and refuses the others at once meanwhile', async (t) => {
      const { answer, connect, storage, disk } = await setup(t, engine);
      storage.decide = () => new RuntimeError('ASK_TIMEOUT', 'late');
      const refused = [503, 'service unavailable\n'];
      assert.deepEqual(await answer('/v1/track', { body: track }), refused);
      storage.decide = () => undefined;
      const probe = await connect();
      await probe.send(requestBytes('/v1/track', { body: track }));
      await storage.arrived(2);
      for (let request = 0; request < 5; request += 1) {
        assert.deepEqual(await answer('/v1/track', { body: track }), refused);
      }
      assert.equal(storage.commits.length, 2, 'expected nobody else to wait for storage');
      storage.decide = () => ({ kind: 'committed' });
      storage.held[0]?.reply({ kind: 'committed' });
      assert.equal((await probe.response())?.body, 'ok');
      assert.deepEqual(await answer('/v1/track', { body: track }), [200, 'ok']);
      disk.memoryLow = true;
      assert.deepEqual(await answer('/v1/track', { body: track }), refused);
    });

    test('all but the event whose data Postgres refuses', async (t) => {
      const { connect, storage, gateway, turns } = await setup(t, engine);
      turns.holding = true;
      storage.decide = (commit) => {
        if (!jobsOf(commit).some(({ messageId }) => messageId === 'bad')) return { kind: 'committed' };
        return { kind: 'refused', reason: 'as the test wants it', sqlState: '22021' };
      };
      const clients = await Promise.all(Array.from({ length: 30 }, connect));
      const ids = clients.map((_, index) => (index === 13 ? 'bad' : `m${index}`));
      const bodies = ids.map((messageId) =>
        JSON.stringify({
          batch: [
            { userId: 'u', messageId: 'first' },
            { userId: 'u', messageId },
          ],
        }),
      );
      await Promise.all(
        clients.map((client, index) => client.send(requestBytes('/v1/batch', { body: bodies[index] ?? '' }))),
      );
      await until(() => gateway.inFlight === 30);
      turns.held[0]?.();
      const responses = await Promise.all(clients.map((client) => client.response()));
      responses.forEach((response, index) => {
        const expected = index === 13 ? [400, 'event is not a valid rudder event\n'] : [200, 'ok'];
        assert.deepEqual([response?.status, response?.body], expected);
      });
      assert.equal(storage.stored.length, 59);
      assert.equal(gateway.bytesWaiting, 0);
    });
  });
}
