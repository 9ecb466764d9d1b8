// Settings that pending jobs depend on: taken over when nothing is pending, refused otherwise, whoever else runs.

import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import { InboxWriter } from '../../actors/storage/inbox-writer.ts';
import { LeaseSession } from '../../actors/storage/lease-session.ts';
import { settleModes } from '../../actors/storage/modes.ts';
import { testDatabase } from '../support/database.ts';
import { jobRows, storageFixture } from '../support/storage-fixture.ts';

const before = { 'storage.lanes': '3', 'router.isolation': 'destination' };
const after = { 'storage.lanes': '2', 'router.isolation': 'destination' };
const change = { name: 'storage.lanes', stored: '3', wanted: '2' };

async function setup(t: TestContext) {
  const database = await testDatabase(t);
  const postgres = database.open();
  const settle = (modes: Record<string, string>) => postgres.withSession((session) => settleModes(session, modes));
  assert.deepEqual(await settle(before), { kind: 'settled' });
  const fixture = storageFixture(database, {}, '2');
  const accepted = { minute: 1, sourceId: 's', destinationId: '', kind: 'accepted' as const, count: 2 };
  await fixture.commit({ jobs: [{ queue: 'gw', ...jobRows(['a', 'a']) }], ledger: [accepted] });
  return { database, postgres, settle, fixture };
}

test('other settings are refused while another process runs, and while jobs are pending', async (t) => {
  const { settle, fixture } = await setup(t);
  assert.deepEqual(await settle(after), { kind: 'inUse', changes: [change] });
  assert.deepEqual(await settle(before), { kind: 'settled' });
  await fixture.stop();
  assert.deepEqual(await settle(after), { kind: 'pending', changes: [change], jobs: 2 });
  assert.deepEqual(await settle(before), { kind: 'settled' }, 'the refused value was not kept');
});

test('with nothing pending other settings are taken over, and lanes that go leave their ledger behind', async (t) => {
  const { database, postgres, settle, fixture } = await setup(t);
  void fixture.open('gw', 'a', 10);
  const { handed } = await fixture.holds('gw', 'a', 2);
  const jobIds = handed.map((job) => job.jobId);
  await fixture.commit({ results: [fixture.results('gw', 'a', { runs: [{ afterId: 0, jobIds }] })] });
  await fixture.stop();
  assert.deepEqual(await settle(after), { kind: 'settled' });
  assert.deepEqual(await settle(before), { kind: 'settled' }, 'the new value can be changed again');
  const { rows } = await postgres.query("select relname from pg_class where relname ~ '_l2_'");
  assert.deepEqual(rows, []);
  const first = storageFixture(database);
  const { ledger } = await first.stats();
  assert.deepEqual(ledger, [{ sourceId: 's', destinationId: '', kind: 'accepted', count: 2 }]);
});

test('what waits in an inbox is pending, and a process that only takes events in is a process', async (t) => {
  const database = await testDatabase(t);
  const postgres = database.open();
  const settle = (modes: Record<string, string>) => postgres.withSession((session) => settleModes(session, modes));
  await settle(before);
  const inbox = new InboxWriter({
    lane: 2,
    postgres,
    writer: 'gateway',
    groupBytesMax: 1_000_000,
    nowMs: () => 0,
    onCommitted: () => undefined,
    onTrouble: () => undefined,
  });
  await new Promise((resolve, reject) => {
    const jobs = [{ queue: 'gw' as const, ...jobRows(['a', 'a', 'a']) }];
    inbox.store({ kind: 'commit', jobs, results: [], ledger: [] }, { deadlineMs: 1, reply: resolve, fail: reject });
  });
  await inbox.close();
  assert.deepEqual(await settle(after), { kind: 'pending', changes: [change], jobs: 3 });
  const gateway = await LeaseSession.open(postgres, false, () => undefined);
  assert.deepEqual(await settle(after), { kind: 'inUse', changes: [change] });
  assert.deepEqual((await gateway.look()).members, [], 'it takes no lanes');
  await gateway.close();
});
