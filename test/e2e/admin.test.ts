// The admin port is an interface that others script against: its paths, the shape of the status, the names of metrics.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { post, track } from '../support/gateway-client.ts';
import { send, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs, property, queuesOf } from '../support/status.ts';

test('tells that it lives, that it is ready, and what it has done', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  assert.equal((await fetch(`${program.adminUrl}/livez`)).status, 200);
  assert.equal((await fetch(`${program.adminUrl}/readyz`)).status, 200);
  const health = await fetch(`${program.gatewayUrl}/health`);
  assert.equal(health.status, 200);
  assert.equal(property(await health.json(), 'server'), 'UP');

  for (let sequence = 0; sequence < 10; sequence += 1) await send(program, track('anna', sequence));
  await destination.waitForAccepted(10);
  const status = await pollUntil('the queues to be empty', async () => {
    const current = await program.json('/status');
    return pendingJobs(current) === 0 ? current : undefined;
  });
  for (const name of ['program', 'ready', 'threads', 'queues', 'partitions', 'ledger', 'workspace']) {
    assert.notEqual(property(status, name), undefined, `expected /status to have ${name}`);
  }
  assert.deepEqual(
    queuesOf(status)
      .map(({ queue }) => queue)
      .slice(0, 2),
    ['gw', 'rt'],
  );
  assert.equal(property(property(status, 'ledger'), 'accepted'), 10);
  assert.equal(property(property(status, 'ledger'), 'delivered'), 10);
  assert.equal(property(property(status, 'postgres'), 'fsync'), 'on');
  assert.equal(property(property(status, 'postgres'), 'synchronousCommit'), 'on');
});

test('shows pending jobs and their age while a destination is down', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  destination.respond(() => 503);
  for (let sequence = 0; sequence < 5; sequence += 1) await send(program, track('anna', sequence));
  const queues = await pollUntil('five jobs to be pending for the destination', async () => {
    const current = queuesOf(await program.json('/status'));
    return current.find(({ queue }) => queue === 'rt')?.pending === 5 ? current : undefined;
  });
  assert.ok((queues.find(({ queue }) => queue === 'rt')?.oldestAgeMs ?? 0) > 0);
});

test('metrics are in Prometheus text and count what happens', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  await send(program, track('anna', 1));
  await post(`${program.gatewayUrl}/v1/track`, 'not json', { writeKey });
  await destination.waitForAccepted(1);
  const text = await pollUntil('the counters to have the event', async () => {
    const metrics = await (await fetch(`${program.adminUrl}/metrics`)).text();
    return /^sluice_gateway_\w+\{?.*\}? 1(?:\s|$)/m.test(metrics) ? metrics : undefined;
  });
  assert.match(text, /^# HELP sluice_\w+ .+$/m);
  assert.match(text, /^# TYPE sluice_\w+ (?:counter|gauge|histogram)$/m);
  assert.doesNotMatch(text, /anna|run-anna-1/, 'no user or message id becomes a label');
});

test('the admin port knows its paths and refuses to be driven from a web page', { timeout: 60_000 }, async (t) => {
  const { program } = await startPipeline(t);
  assert.equal((await fetch(`${program.adminUrl}/nothing`)).status, 404);
  assert.equal((await fetch(`${program.adminUrl}/status`, { method: 'POST' })).status, 405);
});

test('no key, token or event reaches the log, however talkative it is', { timeout: 120_000 }, async (t) => {
  const token = 'admin-token-of-this-test';
  const env = { SLUICE_LOG_LEVEL: 'debug', SLUICE_ADMIN_TOKEN: token, SLUICE_ROUTER_ATTEMPTS_MAX: '1' };
  const { program, destination } = await startPipeline(t, { env });
  destination.respond(({ attempt }) => (attempt < 3 ? 500 : { status: 400, body: 'told by the destination' }));
  const url = (path: string) => `${program.gatewayUrl}${path}`;
  const bearer = { authorization: `Bearer ${token}` };
  await post(url('/v1/track'), { ...track('anna', 1), note: 'text-of-an-event' }, { writeKey });
  await post(url('/v1/track'), track('anna', 2), { writeKey: 'key-that-nobody-has' });
  await post(url('/v1/batch'), '{"batch":[{"note":"text-of-an-event"', { writeKey });
  await post(url('/v1/webhook?writeKey=key-that-nobody-has'), '{}');
  await post(url('/internal/v1/batch'), '[{"note":"text-of-an-event"}]', { headers: bearer });
  await post(url('/internal/v1/batch'), '[]', { headers: { authorization: 'Bearer key-that-nobody-has' } });
  await fetch(`${program.adminUrl}/status`, { headers: bearer });
  await fetch(`${program.adminUrl}/status`, { headers: { authorization: 'Bearer key-that-nobody-has' } });
  await destination.waitFor('the event to be given up', () =>
    destination.deliveries.some(({ status }) => status === 400),
  );
  assert.equal((await program.stop()).code, 0);
  for (const secret of [token, writeKey, 'key-that-nobody-has', 'text-of-an-event']) {
    assert.ok(!program.output.includes(secret), `expected no "${secret}" in:\n${program.output}`);
  }
});
