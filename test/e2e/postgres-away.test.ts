// A PostgreSQL that is gone for a while: clients are told at once to come back, instead of waiting for a commit that will
// not come; what was acknowledged is delivered; and everything goes on by itself when it is back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testDatabase } from '../support/database.ts';
import { eventOf } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { checkDeliveries } from '../support/order-checker.ts';
import { startPipeline, UserLoad, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';

/** Far below the ten seconds that a request may wait for its commit, and much for a busy machine. */
const atOnceMs = 1_000;

test('everybody is told at once to come back while PostgreSQL is away, and nothing is lost', {
  timeout: 120_000,
}, async (t) => {
  const database = await testDatabase(t, { empty: true });
  const proxy = await startSilentProxy(database);
  assert.ok('socketDir' in proxy.address);
  const { socketDir, port, user } = proxy.address;
  const place = `host=${encodeURIComponent(socketDir)}&port=${port}`;
  const url = `postgres://${user}@/${database.name}?${place}`;
  const env = { SLUICE_POSTGRES_URL: url };
  const { program, destination } = await startPipeline({ after: (work) => database.beforeDrop(work) }, { env });
  const load = new UserLoad();
  const running = load.run(program, 8, 'away');
  await destination.waitForAccepted(100);
  proxy.cut();
  const ready = () => fetch(`${program.adminUrl}/readyz`);
  await pollUntil('the program not to be ready', async () => ((await ready()).status === 503 ? true : undefined));
  await pollUntil('the reason', async () =>
    /PostgreSQL is away/.test(await (await ready()).text()) ? true : undefined,
  );
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const startedMs = performance.now();
    const answer = await post(`${program.gatewayUrl}/v1/track`, track('late', attempt), { writeKey });
    const tookMs = performance.now() - startedMs;
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '1']);
    assert.ok(tookMs < atOnceMs, `expected a refusal at once, took ${Math.round(tookMs)} ms`);
  }
  const before = load.acknowledged.length;
  proxy.restore();
  await pollUntil('events to be accepted again', () => (load.acknowledged.length > before + 100 ? true : undefined));
  load.stop();
  await running;
  const arrived = () =>
    destination.accepted().map((delivery) => ({ ...eventOf(delivery), idempotencyKey: delivery.idempotencyKey }));
  const lost = () => checkDeliveries(load.acknowledged, arrived(), load.uncertain).lost;
  await destination.waitFor('every acknowledged event to arrive', () => lost().length === 0);
  for (const { status } of load.refused) assert.equal(status, 503);
  assert.equal((await program.stop()).code, 0);
});
