// What storage makes of each way in which Postgres can fail a commit: data that can never be stored costs its sender
// alone, everything else costs time only, and a connection that has fallen silent costs that connection.

import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { pollUntil } from '../support/poll.ts';
import { startSilentProxy } from '../support/silent-proxy.ts';
import { jobRows, type StorageFixture, statusOf, storageFixture } from '../support/storage-fixture.ts';

/** Postgres fails every row whose message begins with `fail-` and a SQLSTATE, at most `times` times in all. */
async function setup(t: TestContext, times: number) {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  await fixture.store('gw', ['a']);
  await database.open({ poolMax: 1 }).query(
    `create sequence faults;
     create function fail() returns trigger language plpgsql as $$
     begin
       if nextval('faults') <= ${times} then
         raise exception 'made to fail' using errcode = substring(new.message_id from 6 for 5);
       end if;
       return new;
     end $$;
     create trigger fail before insert on gw_jobs_1 for each row when (new.message_id like 'fail-%')
       execute function fail()`,
  );
  return { database, fixture };
}

/** Commits that share a group: all arrive while the writer waits. */
async function commitTogether(database: TestDatabase, fixture: StorageFixture, messageIds: readonly string[]) {
  const blocker = await database.open().session();
  await blocker.query('select pg_advisory_lock(725101, 0)');
  const first = fixture.store('gw', ['a']);
  await fixture.stats();
  const replies = messageIds.map((messageId) =>
    fixture.commit({ jobs: [{ queue: 'gw', ...jobRows(['a'], { messageId }) }] }),
  );
  await fixture.stats();
  await blocker.query('select pg_advisory_unlock(725101, 0)');
  await first;
  const settled = await Promise.all(replies);
  await blocker.close();
  return settled;
}

async function storedMessages(database: TestDatabase): Promise<string[]> {
  const { rows } = await database
    .open({ poolMax: 1 })
    .query<{ message_id: string }>("select message_id from gw_jobs_1 where message_id !~ '^message-' order by job_id");
  return rows.map((row) => row.message_id);
}

test('data that Postgres refuses costs its sender alone, with the reason', async (t) => {
  const { database, fixture } = await setup(t, 1_000);
  const codes = ['22021', '23514'];
  const messageIds = ['one', `fail-${codes[0]}`, 'two', 'three', `fail-${codes[1]}`, 'four'];
  const replies = await commitTogether(database, fixture, messageIds);
  assert.deepEqual(
    replies.map((reply) => (reply.kind === 'refused' ? reply.sqlState : reply.kind)),
    ['committed', codes[0], 'committed', 'committed', codes[1], 'committed'],
  );
  assert.deepEqual(await storedMessages(database), ['one', 'two', 'three', 'four']);
});

for (const [code, name] of [
  ['53100', 'a full disk'],
  ['57014', 'a statement that took too long'],
  ['40001', 'a serialization failure'],
  ['08006', 'a failing connection'],
] as const) {
  test(`${name} costs time and no commit`, async (t) => {
    const { database, fixture } = await setup(t, 2);
    const messageIds = ['one', `fail-${code}`, 'two'];
    const replies = await commitTogether(database, fixture, messageIds);
    assert.deepEqual(
      replies.map((reply) => reply.kind),
      ['committed', 'committed', 'committed'],
    );
    assert.deepEqual(await storedMessages(database), messageIds);
  });
}

test('what Postgres fails for a reason nobody knows costs its sender alone, once others are seen to be taken', async (t) => {
  const { database, fixture } = await setup(t, 1_000);
  const replies = await commitTogether(database, fixture, ['one', 'fail-XX000', 'two', 'three']);
  assert.deepEqual(
    replies.map((reply) => (reply.kind === 'refused' ? reply.sqlState : reply.kind)),
    ['committed', 'XX000', 'committed', 'committed'],
  );
  assert.deepEqual(await storedMessages(database), ['one', 'two', 'three']);
});

test('while Postgres takes nothing at all, nobody is blamed', async (t) => {
  const { database, fixture } = await setup(t, 0);
  await database.open({ poolMax: 1 }).query(
    `create sequence trials;
     create function refuse_all() returns trigger language plpgsql as $$
     begin
       if nextval('trials') <= 8 then
         raise exception 'permission denied' using errcode = '42501';
       end if;
       return new;
     end $$;
     create trigger refuse_all before insert on sluice_ledger_1 for each row execute function refuse_all()`,
  );
  const replies = await Promise.all([fixture.store('gw', ['a']), fixture.store('gw', ['b'])]);
  assert.deepEqual(replies, [{ kind: 'committed' }, { kind: 'committed' }]);
});

test('a group that takes too long is written in parts', async (t) => {
  const { database, fixture } = await setup(t, 0);
  await database.open({ poolMax: 1 }).query(
    `create function only_few() returns trigger language plpgsql as $$
     begin
       if (select count(*) from inserted) > 2 then
         raise exception 'too slow' using errcode = '57014';
       end if;
       return null;
     end $$;
     create trigger only_few after insert on gw_jobs_1 referencing new table as inserted execute function only_few()`,
  );
  const messageIds = ['one', 'two', 'three', 'four', 'five'];
  const replies = await commitTogether(database, fixture, messageIds);
  assert.ok(replies.every(({ kind }) => kind === 'committed'));
  assert.deepEqual(await storedMessages(database), messageIds);
});

test('a connection that has fallen silent is cut, and the lane goes on without its former self', async (t) => {
  const database = await testDatabase(t);
  const proxy = await startSilentProxy(database);
  const fixture = storageFixture({ ...database, address: proxy.address }, { statementTimeoutMs: 200 });
  await fixture.store('gw', ['a']);
  proxy.silence();
  assert.deepEqual(await fixture.store('gw', ['a']), { kind: 'committed' });
  const { rows } = await database
    .open({ poolMax: 1 })
    .query<{ jobs: number; epoch: number }>(
      'select (select count(*) from gw_jobs_1) as jobs, (select epoch from sluice_lanes where lane = 0) as epoch',
    );
  assert.deepEqual(rows, [{ jobs: 2, epoch: 2 }]);
  assert.deepEqual(fixture.failures, [], 'the same actor goes on');
});

test('an old snapshot elsewhere leaves no dead row in any table of jobs', async (t) => {
  const database = await testDatabase(t);
  const holder = await database.open({ idleInTransactionTimeoutMs: 0 }).session();
  database.beforeDrop(() => holder.close());
  await holder.query('begin isolation level repeatable read');
  await holder.query('select count(*) from sluice_datasets');
  const settings = { datasetRowsMax: 100, datasetAgeMs: 0, residuePercentMax: 100 };
  const fixture = storageFixture(database, settings);
  fixture.open('gw', 'a', 10_000);
  for (let round = 0; round < 4; round += 1) {
    await fixture.store(
      'gw',
      Array.from({ length: 120 }, () => 'a'),
    );
    const ids = (await fixture.holds('gw', 'a', 120 * (round + 1))).handed.slice(-120).map((job) => job.jobId);
    const [retried = 0, ...done] = ids;
    const runs = [{ afterId: retried, jobIds: done }];
    await fixture.commit({ results: [fixture.results('gw', 'a', { runs, statuses: [statusOf(retried, {})] })] });
    await fixture.maintain();
  }
  // Sessions tell what they did when they end.
  await fixture.stop();
  const tables = await pollUntil('the statistics of the tables', async () => {
    const { rows } = await database.open({ poolMax: 1 }).query<{ name: string; inserted: number; dead: number }>(
      `select relname as name, n_tup_ins as inserted, n_dead_tup + n_tup_upd + n_tup_del as dead
       from pg_stat_user_tables where relname ~ '_(jobs|status)_' or relname ~ '^sluice_ledger_[0-9]'`,
    );
    const inserted = rows.reduce((sum, row) => sum + (row.name.startsWith('gw_jobs') ? row.inserted : 0), 0);
    return inserted >= 480 ? rows : undefined;
  });
  assert.ok(tables.length >= 10, 'datasets were rolled and moved');
  assert.deepEqual(
    tables.filter((table) => table.dead > 0),
    [],
  );
});
