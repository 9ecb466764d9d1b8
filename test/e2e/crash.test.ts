// The promise "200 means durable" and "at least once", proven by killing the program under load: what was answered 200
// arrives after the restart, and what arrives twice was under way at the crash and can be recognised.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster, postmasterPid } from '../support/embedded-cluster.ts';
import { type Delivery, eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { readLedger } from '../support/ledger.ts';
import { checkDeliveries } from '../support/order-checker.ts';
import { startPipeline, UserLoad } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs } from '../support/status.ts';

const users = 32;
const requestsInFlightMax = 64;

function arrived(destination: FakeDestination) {
  return destination.accepted().map((delivery) => ({ ...eventOf(delivery), idempotencyKey: delivery.idempotencyKey }));
}

/** Deliveries answered before the kill whose event came again afterwards. */
function repeated(destination: FakeDestination, killedAtMs: number): Delivery[] {
  const after = destination.deliveries.filter(({ receivedAtMs }) => receivedAtMs > killedAtMs);
  const keys = new Set(after.map(({ idempotencyKey }) => idempotencyKey));
  return destination.deliveries.filter(
    ({ receivedAtMs, idempotencyKey }) => receivedAtMs <= killedAtMs && keys.has(idempotencyKey),
  );
}

test('every acknowledged event is delivered after SIGKILL under load', { timeout: 180_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  const load = new UserLoad();
  const running = load.run(program, users, 'crash');
  await destination.waitForAccepted(500);
  const killedAtMs = Date.now();
  await program.kill();
  await running;
  assert.ok(load.acknowledged.length >= 500, `expected a load before the crash, got ${load.acknowledged.length}`);
  const postgresPid = postmasterPid(program.dataDir);
  assert.notEqual(postgresPid, undefined, 'PostgreSQL outlives an unclean end');

  const restarted = await program.again().waitReady();
  assert.equal(postmasterPid(restarted.dataDir), postgresPid, 'and is adopted by the next start');
  const missing = (): number => checkDeliveries(load.acknowledged, arrived(destination), load.uncertain).lost.length;
  await destination.waitFor('every acknowledged event to arrive', () => missing() === 0);
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await restarted.json('/status')) === 0 ? true : undefined,
  );

  const report = checkDeliveries(load.acknowledged, arrived(destination), load.uncertain);
  assert.deepEqual(
    { ...report, duplicates: [] },
    { lost: [], unknown: [], duplicates: [], unrecognisable: [], outOfOrder: [] },
  );
  const ledger = await readLedger(openCluster(t, restarted.dataDir));
  assert.deepEqual(ledger.faults(await restarted.json('/status')), []);
  const again = repeated(destination, killedAtMs);
  // Under way at the crash is what was being sent and what was answered but not yet committed as delivered: for every
  // user at most the newest event and those of the group that was committing.
  assert.ok(again.length <= requestsInFlightMax * 4, `expected few repeated deliveries, got ${again.length}`);
  const oldest = Math.min(killedAtMs, ...again.map(({ receivedAtMs }) => receivedAtMs));
  assert.ok(
    killedAtMs - oldest < 2_000,
    `expected repeats of the last moments only, got one ${killedAtMs - oldest} ms old`,
  );
  const stopped = await restarted.stop();
  assert.deepEqual(stopped, { code: 0, signal: null });
});

test('every acknowledged event is delivered after SIGKILL of PostgreSQL under load', {
  timeout: 180_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t);
  const load = new UserLoad();
  const running = load.run(program, users, 'postgres');
  await destination.waitForAccepted(300);
  const pid = postmasterPid(program.dataDir);
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
  await pollUntil('a new PostgreSQL', () => {
    const now = postmasterPid(program.dataDir);
    return now !== undefined && now !== pid ? now : undefined;
  });
  await program.waitReady();
  const before = load.acknowledged.length;
  await pollUntil('events to be accepted again', () => (load.acknowledged.length > before + 100 ? true : undefined));
  load.stop();
  await running;
  const missing = (): number => checkDeliveries(load.acknowledged, arrived(destination), load.uncertain).lost.length;
  await destination.waitFor('every acknowledged event to arrive', () => missing() === 0);
  const report = checkDeliveries(load.acknowledged, arrived(destination));
  assert.deepEqual({ lost: report.lost, unrecognisable: report.unrecognisable }, { lost: [], unrecognisable: [] });
  assert.deepEqual(report.outOfOrder, []);
  for (const answer of load.refused) {
    assert.ok(answer.status === 503, `expected refusals to be 503, got ${answer.status} ${answer.text}`);
  }
});
