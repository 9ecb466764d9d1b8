// Two processes on one database: each lane has one owner, any gateway takes events, and a lane that its owner leaves or
// loses goes on elsewhere, with every acknowledged event, in order.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/cleanup.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { eventOf, type FakeDestination, startDestination } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { checkDeliveries, type SentEvent } from '../support/order-checker.ts';
import { asSent, fastRetries, oneSource, UserLoad, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { type Program, startProgram } from '../support/program.ts';
import { pendingJobs, property } from '../support/status.ts';
import { writeWorkspace } from '../support/workspace-file.ts';

/** What we promise; the tests are far below. */
const takeOverMs = 15_000;

interface Cluster {
  database: TestDatabase;
  destination: FakeDestination;
  start(env?: Record<string, string>): Promise<Program>;
}

async function setup(t: TestContext): Promise<Cluster> {
  const database = await testDatabase(t);
  const destination = await startDestination(t);
  const workspaceFile = join(await temporaryFolder(t), 'workspaceConfig.json');
  writeWorkspace(workspaceFile, oneSource(destination));
  return {
    database,
    destination,
    start: async (env = {}) => {
      const program = await startProgram(t, {
        workspaceFile,
        env: { ...fastRetries, SLUICE_POSTGRES_URL: database.url, ...env },
      });
      database.beforeDrop(() => program.kill());
      return program.waitReady();
    },
  };
}

/** Lanes that the process says it owns. */
async function owned(program: Program): Promise<number[]> {
  const lanes = property(property(await program.json('/status'), 'lease'), 'lanes');
  if (!Array.isArray(lanes)) throw new Error('expected /status to list lanes');
  return lanes.filter((lane) => property(lane, 'state') === 'owner').map((lane) => Number(property(lane, 'lane')));
}

function arrivals(destination: FakeDestination) {
  return destination.accepted().map((delivery) => ({ ...eventOf(delivery), idempotencyKey: delivery.idempotencyKey }));
}

async function allArrived(destination: FakeDestination, sent: readonly SentEvent[], uncertain: readonly SentEvent[]) {
  const lost = (): number => checkDeliveries(sent, arrivals(destination), uncertain).lost.length;
  await destination.waitFor('every acknowledged event to arrive', () => lost() === 0, 30_000);
  const { duplicates: _recognisable, ...report } = checkDeliveries(sent, arrivals(destination), uncertain);
  assert.deepEqual(report, { lost: [], unknown: [], unrecognisable: [], outOfOrder: [] });
}

async function balances({ database }: Cluster, program: Program): Promise<void> {
  const status = await pollUntil('nothing to be pending', async () => {
    const now = await program.json('/status');
    return pendingJobs(now) === 0 ? now : undefined;
  });
  assert.deepEqual((await readLedger(database.open({ poolMax: 1 }))).faults(status), []);
}

test('after SIGKILL of the owner under load the other process goes on, in order and without a loss', {
  timeout: 120_000,
}, async (t) => {
  const cluster = await setup(t);
  const first = await cluster.start();
  const second = await cluster.start();
  assert.deepEqual([await owned(first), await owned(second)], [[0], []], 'the older process keeps the lane');
  const [loadOfFirst, loadOfSecond] = [new UserLoad(), new UserLoad()];
  const running = [loadOfFirst.run(first, 8, 'first'), loadOfSecond.run(second, 8, 'second')];
  await pollUntil('both gateways to have stored events', () =>
    loadOfFirst.acknowledged.length > 200 && loadOfSecond.acknowledged.length > 200 ? true : undefined,
  );
  await cluster.destination.waitFor('deliveries', () => cluster.destination.accepted().length > 200);
  const killedAtMs = Date.now();
  await first.kill();
  await pollUntil('the lane to be taken over', async () => ((await owned(second)).length === 1 ? true : undefined));
  assert.ok(Date.now() - killedAtMs < takeOverMs);
  const before = loadOfSecond.acknowledged.length;
  await pollUntil('events to be taken by the new owner', () =>
    loadOfSecond.acknowledged.length > before + 50 ? true : undefined,
  );
  loadOfSecond.stop();
  await Promise.all(running);
  const sent = [...loadOfFirst.acknowledged, ...loadOfSecond.acknowledged];
  await allArrived(cluster.destination, sent, [...loadOfFirst.uncertain, ...loadOfSecond.uncertain]);
  assert.deepEqual(loadOfSecond.refused, [], 'the other gateway took events all the time');
  await balances(cluster, second);
});

test('after a clean stop the lane goes on at once, and comes back only when it must', {
  timeout: 120_000,
}, async (t) => {
  const cluster = await setup(t);
  const first = await cluster.start();
  const second = await cluster.start();
  const load = new UserLoad();
  const running = load.run(second, 4, 'stop');
  await pollUntil('a load', () => (load.acknowledged.length > 100 ? true : undefined));
  assert.deepEqual(await first.stop(), { code: 0, signal: null });
  const stoppedAtMs = Date.now();
  await pollUntil('the lane to be taken over', async () => ((await owned(second)).length === 1 ? true : undefined));
  assert.ok(Date.now() - stoppedAtMs < takeOverMs / 3);
  const third = await cluster.start();
  load.stop();
  await running;
  await allArrived(cluster.destination, load.acknowledged, load.uncertain);
  assert.deepEqual(load.refused, []);
  assert.deepEqual([await owned(second), await owned(third)], [[0], []]);
  await balances(cluster, second);
});

test('a gateway stores and a pipeline delivers, and several lanes are shared', { timeout: 120_000 }, async (t) => {
  const cluster = await setup(t);
  const env = { SLUICE_STORAGE_LANES: '3' };
  const gateway = await cluster.start({ ...env, SLUICE_ROLE: 'gateway' });
  const events = Array.from({ length: 20 }, (_, index) => track('user', index));
  for (const event of events) {
    const answer = await post(`${gateway.gatewayUrl}/v1/track`, event, { writeKey });
    assert.equal(answer.status, 200, 'no pipeline is there yet');
  }
  assert.equal(cluster.destination.deliveries.length, 0);
  const [one, two] = [
    await cluster.start({ ...env, SLUICE_ROLE: 'pipeline' }),
    await cluster.start({ ...env, SLUICE_ROLE: 'pipeline' }),
  ];
  await allArrived(cluster.destination, events.map(asSent), []);
  const shares = await pollUntil('both to have a share', async () => {
    const lanes = [await owned(one), await owned(two)];
    return lanes.flat().length === 3 && lanes.every(({ length }) => length > 0) ? lanes : undefined;
  });
  assert.deepEqual(shares.map(({ length }) => length).sort(), [1, 2]);
  assert.deepEqual(await owned(gateway), []);
  await assert.rejects(post(`${one.gatewayUrl}/v1/track`, track('user', 99), { writeKey }), 'it has no public port');
});

test('an owner that was frozen and replaced cannot commit when it goes on', { timeout: 120_000 }, async (t) => {
  const cluster = await setup(t);
  const frozen = await cluster.start();
  const second = await cluster.start();
  for (let index = 0; index < 5; index += 1) {
    const answer = await post(`${frozen.gatewayUrl}/v1/track`, track('user', index), { writeKey });
    assert.equal(answer.status, 200);
  }
  await cluster.destination.waitForAccepted(5);
  // Deliveries that are not recorded come again, as after any crash.
  await balances(cluster, frozen);
  frozen.signal('SIGSTOP');
  // As when its host is gone and keep-alives fail: Postgres drops the sessions of the one that is frozen.
  const postgres = cluster.database.open({ poolMax: 1 });
  const { rows } = await postgres.query<{ epoch: number }>('select epoch from sluice_lanes where lane = 0');
  await postgres.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and backend_start <
       (select max(backend_start) from pg_stat_activity where application_name = 'sluice lease')
       and application_name like 'sluice%' and pid in (
         select pid from pg_locks where locktype = 'advisory' and classid = 725102 and granted
         union select pid from pg_locks where locktype = 'advisory' and classid = 725103 and granted and objid =
           (select min(objid::bigint) from pg_locks where classid = 725103 and granted))`,
  );
  await pollUntil('the lane to be taken over', async () => ((await owned(second)).length === 1 ? true : undefined));
  frozen.signal('SIGCONT');
  await pollUntil('the frozen process to stand by', async () =>
    (await owned(frozen)).length === 0 ? true : undefined,
  );
  const late = await post(`${frozen.gatewayUrl}/v1/track`, track('user', 5), { writeKey });
  assert.equal(late.status, 200, 'it stores for the new owner now');
  await cluster.destination.waitForAccepted(6);
  const after = await postgres.query<{ epoch: number }>('select epoch from sluice_lanes where lane = 0');
  assert.equal(after.rows[0]?.epoch, (rows[0]?.epoch ?? 0) + 1, 'the lane changed hands once');
  const order = arrivals(cluster.destination).map(({ sequence }) => sequence);
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5]);
  await balances(cluster, second);
});
