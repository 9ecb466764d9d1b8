// What the gateway accepts and serves, over real HTTP and on both engines, up to the ask that would commit.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { GatewayParameters } from '../../actors/job.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { basicAuth, fixedNowMs, fixedNowText, gzip, requestBytes, setup, track } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

for (const engine of httpEngines) {
  describe(`the gateway on ${engine} accepts`, () => {
    for (const type of ['identify', 'track', 'page', 'screen', 'group', 'alias', 'merge']) {
      test(`${type} and forces its type`, async (t) => {
        const { send, eventStored } = await setup(t, engine);
        const response = await send(`/v1/${type}`, { body: '{"userId":"u1","type":"other"}' });
        assert.deepEqual([response.status, response.body], [200, 'ok']);
        assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
        assert.equal(eventStored().type, type);
      });
    }

    test('an event whose fill-ins are set and whose own values are kept', async (t) => {
      const { answer, storage } = await setup(t, engine);
      const event =
        '{"userId":" u1 ","anonymousId":7,"messageId":" m\\u0000 ","rudderId":"x","n":12345678901234567890}';
      assert.deepEqual(await answer('/v1/track', { body: event }), [200, 'ok']);
      const [job] = storage.stored;
      // MD5 of "u1:7", cut like a UUID.
      const expected = `{"type":"track","receivedAt":"${fixedNowText}","request_ip":"127.0.0.1","userId":" u1 ","anonymousId":7,"messageId":"m","rudderId":"1df2690b-6b7e-b6ba-e7a8-9b2a51135687","n":12345678901234567890}`;
      assert.equal(Buffer.from(job?.payload ?? []).toString(), expected);
      assert.equal(job?.messageId, 'm');
      assert.equal(job.userId, '<<>>7<<>>u1');
      assert.equal(job.partition, 'source-1');
      assert.equal(job.receivedAtMs, fixedNowMs);
    });

    test('a batch whose events keep their types and inherit nothing from each other', async (t) => {
      const { answer, storage } = await setup(t, engine);
      const batch = [
        { type: 'track', userId: 'u1', request_ip: '9.9.9.9', receivedAt: 'then' },
        { userId: 'u2', messageId: 5 },
        { type: 'record' },
      ];
      const headers = { 'X-Forwarded-For': ' 1.2.3.4 , 5.6.7.8' };
      assert.deepEqual(await answer('/v1/batch', { body: JSON.stringify({ batch, sentAt: 'now' }), headers }), [
        200,
        'ok',
      ]);
      const events = storage.stored.map(({ payload }) => JSON.parse(Buffer.from(payload).toString()));
      const newId = '00000000-0000-4000-8000-000000000000';
      assert.deepEqual(
        events.map(({ rudderId: _, ...rest }) => rest),
        [
          { type: 'track', userId: 'u1', request_ip: '9.9.9.9', receivedAt: 'then', messageId: newId },
          { userId: 'u2', messageId: newId, request_ip: '5.6.7.8', receivedAt: fixedNowText },
          { type: 'record', messageId: newId, request_ip: '5.6.7.8', receivedAt: fixedNowText },
        ],
      );
      assert.equal(storage.commits.length, 1);
      assert.deepEqual(storage.commits[0]?.ledger, [
        {
          minute: Math.floor(fixedNowMs / 60_000),
          sourceId: 'source-1',
          destinationId: '',
          kind: 'accepted',
          count: 3,
        },
      ]);
    });

    test('packed bodies, small and large', async (t) => {
      const { answer, storage } = await setup(t, engine);
      assert.deepEqual(await answer('/v1/track', gzip(track)), [200, 'ok']);
      const large = JSON.stringify({ userId: 'u1', text: 'many words '.repeat(100_000) });
      assert.deepEqual(await answer('/v1/track', gzip(large)), [200, 'ok']);
      const twoMembers = {
        body: Buffer.concat([gzipSync('{"userId":'), gzipSync('"u1"}')]),
        headers: { 'Content-Encoding': 'gzip' },
      };
      assert.deepEqual(await answer('/v1/track', twoMembers), [200, 'ok']);
      assert.equal(storage.stored.length, 3);
    });

    test('headers that say who, which run and which trace', async (t) => {
      const { answer, storage } = await setup(t, engine);
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const headers = {
        AnonymousId: 'header-id',
        'X-Rudder-Job-Run-Id': 'job',
        'X-Rudder-Task-Run-Id': 'task',
        traceparent,
      };
      const body = '{"userId":"u1","context":{"sources":{"job_run_id":"from the event"}}}';
      assert.deepEqual(await answer('/v1/track', { body, headers }), [200, 'ok']);
      const [job] = storage.stored;
      assert.equal(job?.userId, 'header-id<<>>u1<<>>u1');
      const expected: GatewayParameters = {
        source_id: 'source-1',
        workspace_id: 'workspace-1',
        request_ip: '127.0.0.1',
        source_job_run_id: 'from the event',
        source_task_run_id: 'task',
        traceparent,
      };
      assert.deepEqual(JSON.parse(job.parameters), expected);
    });

    test('events without identity when that is allowed', async (t) => {
      const { answer, eventStored } = await setup(t, engine, {
        flags: { 'gateway.allowEventsWithoutIdentity': 'true' },
      });
      assert.deepEqual(await answer('/v1/track', { body: '{}' }), [200, 'ok']);
      assert.equal(eventStored().type, 'track');
    });

    test('a new write key as soon as the workspace has it, and an old one no longer', async (t) => {
      const { answer, workspace } = await setup(t, engine);
      const { snapshot } = workspace.current;
      const [first] = snapshot.sources;
      assert.ok(first !== undefined);
      assert.deepEqual(await answer('/v1/track', { body: track }), [200, 'ok']);
      workspace.publish({ ...snapshot, version: 2, sources: [{ ...first, writeKey: 'key-new' }] });
      assert.deepEqual(await answer('/v1/track', { body: track }), [401, 'invalid write key\n']);
      assert.deepEqual(await answer('/v1/track', { body: track, headers: { Authorization: basicAuth('key-new') } }), [
        200,
        'ok',
      ]);
    });
  });

  describe(`the gateway on ${engine} serves`, () => {
    test('browsers of any origin', async (t) => {
      const { send } = await setup(t, engine);
      const origin = 'https://shop.example';
      const preflight = await send('/v1/track', {
        method: 'OPTIONS',
        headers: {
          Authorization: '',
          Origin: origin,
          'Access-Control-Request-Method': 'POST',
          'Access-Control-Request-Headers': 'authorization,anonymousid',
        },
      });
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers['access-control-allow-origin'], origin);
      assert.equal(preflight.headers['access-control-allow-credentials'], 'true');
      assert.equal(preflight.headers['access-control-allow-headers'], 'authorization,anonymousid');
      assert.match(preflight.headers['access-control-allow-methods'] ?? '', /POST/);
      assert.equal(preflight.headers['access-control-max-age'], '900');
      for (const [body, status] of [
        [track, 200],
        ['{', 400],
      ] as const) {
        const response = await send('/v1/track', { body, headers: { Origin: origin } });
        assert.equal(response.status, status);
        assert.equal(response.headers['access-control-allow-origin'], origin);
        assert.equal(response.headers['access-control-allow-credentials'], 'true');
      }
    });

    test('health on two paths, and says when the database is gone', async (t) => {
      const { send, database } = await setup(t, engine);
      for (const path of ['/health', '/']) {
        const response = await send(path, { method: 'GET', headers: { Authorization: '', 'Content-Length': '' } });
        assert.equal(response.status, 200);
        assert.equal(response.headers['content-type'], 'application/json; charset=utf-8');
        assert.deepEqual(JSON.parse(response.body), {
          appType: 'EMBEDDED',
          server: 'UP',
          db: 'UP',
          acceptingEvents: 'TRUE',
          routingEvents: 'TRUE',
          mode: 'NORMAL',
          backendConfigMode: 'JSON',
          lastSync: fixedNowText,
        });
      }
      database.up = false;
      const response = await send('/health', { method: 'GET', headers: { Authorization: '', 'Content-Length': '' } });
      assert.deepEqual([response.status, response.body], [503, 'Cannot connect to db\n']);
    });

    test('one trace per request, from its parent to its answer', async (t) => {
      const spans: { parent: string | undefined; ended: boolean; error: string | undefined }[] = [];
      const tracing = {
        enabled: true,
        start: (_name: string, options?: { traceparent?: string | undefined }) => {
          const span = { parent: options?.traceparent, ended: false, error: undefined as string | undefined };
          spans.push(span);
          const end = (outcome?: { error?: string }) => {
            span.ended = true;
            span.error = outcome?.error;
          };
          return { traceparent: `00-trace-${spans.length}`, end };
        },
      };
      const { answer, storage } = await setup(t, engine, { tracing });
      await answer('/v1/track', { body: track, headers: { traceparent: '00-parent' } });
      assert.equal(JSON.parse(storage.stored[0]?.parameters ?? '{}').traceparent, '00-trace-1');
      storage.decide = () => new RuntimeError('ASK_TIMEOUT', 'late');
      await answer('/v1/track', { body: track });
      await answer('/v1/track', { body: '{' });
      assert.deepEqual(spans, [
        { parent: '00-parent', ended: true, error: undefined },
        { parent: undefined, ended: true, error: 'service unavailable' },
        { parent: undefined, ended: true, error: undefined },
      ]);
    });

    test('counts of its answers by route and status', async (t) => {
      const { answer, metrics } = await setup(t, engine);
      await answer('/v1/track', { body: track });
      await answer('/v1/track', { body: track });
      await answer('/v1/batch', { body: '{' });
      await answer('/v1/nothing-that-exists', { body: track });
      const requests = metrics.snapshot().find(({ name }) => name === 'sluice_gateway_requests_total');
      assert.ok(requests?.kind === 'counter');
      assert.deepEqual(requests.series.map(({ labels, value }) => `${labels.route} ${labels.status} ${value}`).sort(), [
        'batch 400 1',
        'track 200 2',
        'unknown 404 1',
      ]);
    });

    test('out what it accepted while it drains', async (t) => {
      const { gateway, storage, client, connect } = await setup(t, engine);
      storage.decide = () => undefined;
      await client.send(requestBytes('/v1/track', { body: track }));
      await storage.arrived(1);
      gateway.refuse();
      const idle = gateway.idle();
      const late = await connect();
      await late.send(requestBytes('/v1/track', { body: track }));
      assert.equal((await late.response())?.status, 503);
      storage.held[0]?.reply({ kind: 'committed' });
      await idle;
      assert.equal((await client.response())?.body, 'ok');
      assert.equal(storage.commits.length, 1);
    });
  });
}
