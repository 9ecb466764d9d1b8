// The ledger on a real database: whoever asks is told when an entry or a job is missing, where, and only then.

import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import { balanceLedger } from '../../actors/storage/ledger-balance.ts';
import { readLedgerSnapshot } from '../../actors/storage/ledger-snapshot.ts';
import { testDatabase } from '../support/database.ts';
import { jobRows, type StorageFixture, statusOf, storageFixture } from '../support/storage-fixture.ts';

const minute = Math.floor(1_790_000_000_000 / 60_000);
const entry = (destinationId: string, kind: 'accepted' | 'processed' | 'routed' | 'delivered', count: number) => ({
  minute,
  sourceId: 's',
  destinationId,
  kind,
  count,
});
const events = { parameters: '{"source_id":"s","workspace_id":"w"}' };
const deliveries = { parameters: '{"source_id":"s","destination_id":"d","workspace_id":"w"}' };

/** Ten events, six of them processed and routed; one delivery done and one failed, out of order. */
async function workedOn(fixture: StorageFixture): Promise<void> {
  await fixture.commit({
    jobs: [{ queue: 'gw', ...jobRows(Array<string>(10).fill('s'), events) }],
    ledger: [entry('', 'accepted', 10)],
  });
  fixture.open('gw', 's', 8);
  const { handed } = await fixture.holds('gw', 's', 8);
  const ids = handed.slice(0, 6).map((job) => job.jobId);
  await fixture.commit({
    jobs: [{ queue: 'rt', ...jobRows(Array<string>(6).fill('d'), deliveries) }],
    results: [fixture.results('gw', 's', { runs: [{ afterId: 0, jobIds: ids }] })],
    ledger: [entry('', 'processed', 6), entry('d', 'routed', 6)],
  });
  fixture.open('rt', 'd', 4);
  const [, second, third] = (await fixture.holds('rt', 'd', 4)).handed;
  assert.ok(second && third);
  await fixture.commit({
    results: [
      fixture.results('rt', 'd', {
        statuses: [statusOf(second.jobId, { state: 'succeeded', code: 200 }), statusOf(third.jobId, {})],
      }),
    ],
    ledger: [entry('d', 'delivered', 1)],
  });
}

async function setup(t: TestContext) {
  const database = await testDatabase(t);
  const logged: string[] = [];
  const fixture = storageFixture(database, {}, '0', (text) => logged.push(text));
  const postgres = database.open();
  await workedOn(fixture);
  const alarm = async (): Promise<string> => {
    await fixture.maintain();
    return (await fixture.stats()).ledgerAlarm;
  };
  const snapshot = () => postgres.withSession((session) => readLedgerSnapshot(session));
  return { database, fixture, postgres, logged, alarm, snapshot };
}

test('a database balances, beside the program and without it', async (t) => {
  const { fixture, alarm, snapshot } = await setup(t);
  const expected = [
    ['', 4, 0],
    ['d', 5, 0],
  ];
  const balances = async () => {
    const { counts, pending } = await snapshot();
    return balanceLedger(counts, pending, true).map((one) => [one.destinationId, one.pending, one.difference]);
  };
  assert.equal(await alarm(), '');
  assert.deepEqual(await balances(), expected);
  await fixture.stop();
  assert.deepEqual(await balances(), expected);
});

test('an entry that vanishes from the tables is an alarm, once, until it is back', async (t) => {
  const { postgres, logged, alarm, snapshot } = await setup(t);
  await postgres.query(
    `create table kept as select * from sluice_ledger_1 where kind = 'delivered';
     delete from sluice_ledger_1 where kind = 'delivered'`,
  );
  assert.equal(await alarm(), '1 missing from delivered of s to d');
  assert.equal(await alarm(), '1 missing from delivered of s to d');
  const told = logged.filter((text) => text.includes('does not balance'));
  assert.equal(told.length, 1);
  const { counts, pending } = await snapshot();
  assert.deepEqual(
    balanceLedger(counts, pending).map(({ difference }) => difference),
    [0, 1],
  );
  await postgres.query('insert into sluice_ledger_1 select * from kept; drop table kept');
  assert.equal(await alarm(), '');
});

test('events that a start does not find again are an alarm', async (t) => {
  const { database, fixture, postgres } = await setup(t);
  await fixture.stop();
  await postgres.query('delete from gw_jobs_1 where job_id = (select max(job_id) from gw_jobs_1)');
  const again = storageFixture(database);
  await again.maintain();
  assert.equal((await again.stats()).ledgerAlarm, '1 lost at sources');
});

test('the ledger is read by source and by time', async (t) => {
  const { postgres } = await setup(t);
  const read = (scope: { sinceMinute?: number; sourceId?: string }) =>
    postgres.withSession((session) => readLedgerSnapshot(session, scope));
  const nothing = { counts: [], pending: [] };
  assert.deepEqual(await read({ sourceId: 'other' }), nothing);
  assert.deepEqual(await read({ sinceMinute: minute + 1 }), nothing);
  assert.equal(
    (await read({ sinceMinute: minute, sourceId: 's' })).pending.reduce((sum, one) => sum + one.count, 0),
    9,
  );
});
