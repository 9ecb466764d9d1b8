// A destination that fails for a while gets everything in the end, in order; what it refuses for good is put aside with
// its reason, and does not stand in the way of what comes after.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster } from '../support/embedded-cluster.ts';
import { eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { checkDeliveries, findOvertaking } from '../support/order-checker.ts';
import { asSent, destinationId, send, sourceId, startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs } from '../support/status.ts';

const users = ['anna', 'ben', 'carla'];
const eventsPerUser = 10;
const sent = users.flatMap((user) => Array.from({ length: eventsPerUser }, (_, sequence) => track(user, sequence)));

function arrived(destination: FakeDestination) {
  return destination.accepted().map((delivery) => ({ ...eventOf(delivery), idempotencyKey: delivery.idempotencyKey }));
}

test('retries in order until a failing destination recovers, and loses nothing', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  let failing = true;
  destination.respond(() => (failing ? { status: 500, body: 'down for maintenance' } : 200));
  for (const event of sent) await send(program, event);
  await destination.waitFor('every user to have been tried three times', () =>
    users.every((user) => destination.deliveries.filter((delivery) => eventOf(delivery).userId === user).length >= 3),
  );
  assert.equal(destination.accepted().length, 0);
  failing = false;
  await destination.waitForAccepted(sent.length);

  const report = checkDeliveries(sent.map(asSent), arrived(destination));
  assert.deepEqual(report, { lost: [], unknown: [], duplicates: [], unrecognisable: [], outOfOrder: [] });
  assert.deepEqual(
    findOvertaking(destination.deliveries.map(eventOf)),
    [],
    'no event overtakes one that may be retried',
  );
  for (const delivery of destination.deliveries) assert.notEqual(delivery.idempotencyKey, '');
});

test('attempts of one event carry one idempotency key, and no two events share one', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t);
  destination.respond((delivery) => (delivery.attempt < 3 ? 503 : 200));
  for (const event of sent) await send(program, event);
  await destination.waitForAccepted(sent.length);
  const keysByMessage = new Map<string, Set<string>>();
  for (const delivery of destination.deliveries) {
    const { messageId } = eventOf(delivery);
    keysByMessage.set(messageId, (keysByMessage.get(messageId) ?? new Set()).add(delivery.idempotencyKey));
  }
  assert.ok([...keysByMessage.values()].every((keys) => keys.size === 1));
  assert.equal(new Set([...keysByMessage.values()].flatMap((keys) => [...keys])).size, sent.length);
  assert.equal(destination.deliveries.length, sent.length * 3);
});

test('aborts what a destination refuses, keeps the reason, and goes on', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  const refuses = (sequence: number): boolean => sequence === 4;
  destination.respond((delivery) =>
    refuses(eventOf(delivery).sequence) ? { status: 400, body: 'no such order' } : 200,
  );
  for (const event of sent) await send(program, event);
  await destination.waitForAccepted(sent.length - users.length);
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  assert.equal(destination.deliveries.length, sent.length, 'nothing refused is tried again');

  const postgres = openCluster(t, program.dataDir);
  const ledger = await readLedger(postgres);
  assert.deepEqual(ledger.faults(await program.json('/status')), []);
  assert.equal(ledger.count(sourceId, '', 'accepted'), sent.length);
  assert.equal(ledger.count(sourceId, destinationId, 'routed'), sent.length);
  assert.equal(ledger.count(sourceId, destinationId, 'delivered'), sent.length - users.length);
  assert.equal(ledger.count(sourceId, destinationId, 'aborted'), users.length);

  const { rows } = await postgres.query<{ code: number; attempt: number; response: string }>(
    "SELECT code, attempt, response FROM rt_status_1 WHERE state = 'aborted'",
  );
  assert.equal(rows.length, users.length);
  for (const row of rows) {
    assert.equal(row.code, 400);
    assert.equal(row.attempt, 1);
    assert.match(row.response, /no such order/);
  }
});
