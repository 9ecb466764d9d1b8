// Custom deliveries against real peers: Redis where the machine has one, and brokers that are not there.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { CustomDelivery } from '../../actors/router/custom/custom-delivery.ts';
import { customTypes } from '../../actors/router/custom/custom-types.ts';
import type { Delivery, DeliveryOutcome } from '../../actors/router/delivery.ts';
import type { DestinationConfig } from '../../actors/services/workspace.ts';
import { createEgressGuard, openRedisCommands } from '../../transport/index.ts';
import { startRedis } from '../support/redis-server.ts';
import { makeDestination } from '../support/workspace-objects.ts';

const timeoutMs = 5_000;
const nowhere: Delivery = {
  send: () => assert.fail('no plain request was expected'),
  release: () => undefined,
};

function setup(t: TestContext, allow: string[] = ['127.0.0.0/8']) {
  const clock = { nowMs: 1_000_000 };
  const guard = createEgressGuard({ allow });
  const delivery = new CustomDelivery({
    inner: nowhere,
    types: customTypes,
    context: { guard, timeoutMs, nowMs: () => clock.nowMs },
  });
  t.after(() => delivery.release('d1'));
  const send = (destination: DestinationConfig, message: object): Promise<DeliveryOutcome> =>
    new Promise((resolve) =>
      delivery.send(
        {
          poolKey: 'd1',
          destination,
          request: { method: '', endpoint: '', headers: {}, params: {}, format: 'CUSTOM' },
          body: Buffer.from(JSON.stringify(message)),
          jobs: 1,
          keepsAnswer: false,
          idempotencyKey: 'key',
          traceparent: undefined,
          signingKeys: [],
        },
        resolve,
      ),
    );
  return { send, clock, guard };
}

function typed(name: string, config: Record<string, unknown>): DestinationConfig {
  return makeDestination('d1', {
    config,
    destinationDefinition: { id: 'dd', name, displayName: name, config: {} },
  });
}

test('traits arrive in Redis, what it refuses is final, and what people can mend is not', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) {
    t.diagnostic('not run: there is no redis-server on this machine');
    return;
  }
  const port = Number(new URL(redis.url).port);
  const { send, clock, guard } = setup(t);
  const target = { nodes: [{ host: '127.0.0.1', port }], isCluster: false, password: '', database: 2 };
  const reader = await openRedisCommands(target, { timeoutMs, guard });
  t.after(() => reader.close());
  const settings = { address: `127.0.0.1:${port}`, clusterMode: false, database: '2' };
  const destination = typed('REDIS', settings);
  assert.equal((await send(destination, { message: { key: 'user:1', fields: { name: 'Ann' } } })).code, 200);
  assert.equal(await reader.run('user:1', ['HGET', 'user:1', 'name']), 'Ann');
  await reader.run('plain', ['SET', 'plain', 'text']);
  const wrong = await send(destination, { message: { key: 'plain', fields: { a: 'b' } } });
  assert.equal(wrong.code, 400);
  assert.match(wrong.response, /^WRONGTYPE/);
  const json = await send(destination, { message: { key: 'user:1', value: { a: 1 } } });
  assert.equal(json.code, 503, 'a module that is not there can be loaded');
  const clustered = await send(typed('REDIS', { ...settings, clusterMode: true }), {
    message: { key: 'k', fields: { a: 1 } },
  });
  assert.equal(clustered.code, 503);
  assert.match(clustered.response, /^no client can be made: .*clusterMode/);
  assert.equal((await send(destination, { message: { key: 'user:1', fields: { name: 'Bea' } } })).code, 200);
  await redis.kill();
  clock.nowMs += 10_000;
  const away = await send(destination, { message: { key: 'user:1', fields: { name: 'Cid' } } });
  assert.ok(away.code >= 500, `expected to be told to try again, got ${away.code}: ${away.response}`);
});

test('a client that cannot be made is made again, not for every message, and jobs are never aborted for it', async (t) => {
  const connections = { count: 0 };
  const server = createServer((socket) => {
    connections.count += 1;
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { send, clock } = setup(t);
  const destination = typed('KAFKA', { hostName: '127.0.0.1', port: String(port), topic: 'events' });
  const message = { message: { a: 1 }, userId: 'ann', topic: 'events' };
  const first = await send(destination, message);
  assert.equal(first.code, 503);
  assert.match(first.response, /^no client can be made/);
  const tried = connections.count;
  assert.ok(tried >= 1);
  assert.equal((await send(destination, message)).code, 503);
  assert.equal(connections.count, tried, 'not again at once');
  clock.nowMs += 1_001;
  assert.equal((await send(destination, message)).code, 503);
  assert.ok(connections.count > tried, 'again after a while');
});

test('brokers and servers in private networks are not reached', async (t) => {
  const { send } = setup(t, []);
  const kafka = await send(typed('KAFKA', { hostName: 'localhost', topic: 't' }), { message: {}, topic: 't' });
  assert.equal(kafka.code, 503);
  assert.match(kafka.response, /egress|EGRESS/);
  const { send: another } = setup(t, []);
  const redis = await another(typed('REDIS', { address: '127.0.0.1:6379', clusterMode: false }), {
    message: { key: 'k', fields: { a: 1 } },
  });
  assert.equal(redis.code, 503);
  assert.match(redis.response, /egress/);
});

test('what is no message, and a type nothing sends to, are final', async (t) => {
  const { send } = setup(t);
  assert.equal((await send(typed('NOTHING', {}), {})).code, 400);
  assert.equal((await send(typed('REDIS', { address: '127.0.0.1:1' }), [1])).code, 400);
});
