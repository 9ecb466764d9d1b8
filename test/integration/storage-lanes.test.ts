// Lanes on a real PostgreSQL: each is a log of its own, and the first one goes on with what the first release left.

import { strict as assert } from 'node:assert';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { migrate } from '../../actors/storage/migrate.ts';
import { temporaryFolder, testDatabase } from '../support/database.ts';
import { releasedDataset } from '../support/released-dataset.ts';
import { repositoryRoot } from '../support/repository.ts';
import { jobRows, storageFixture } from '../support/storage-fixture.ts';

const many = (partition: string, count: number): string[] => Array.from({ length: count }, () => partition);

test('two lanes of one database keep ids, tables, ledger and recovery to themselves', async (t) => {
  const database = await testDatabase(t);
  const entry = { minute: 7, sourceId: 's', destinationId: '', kind: 'accepted' as const, count: 1 };
  for (const [lane, rows] of [
    ['0', 3],
    ['2', 130],
  ] as const) {
    const fixture = storageFixture(database, { datasetRowsMax: 100 }, lane);
    for (let round = 0; round < 2; round += 1) {
      await fixture.commit({ jobs: [{ queue: 'gw', ...jobRows(many('a', rows)) }], ledger: [entry] });
    }
    await fixture.stop();
  }
  for (const [lane, rows] of [
    ['0', 3],
    ['2', 130],
  ] as const) {
    const fixture = storageFixture(database, { datasetRowsMax: 100 }, lane);
    const { queues, ledger } = await fixture.stats();
    assert.equal(queues[0]?.pending, rows * 2);
    assert.deepEqual(
      ledger.map(({ count }) => count),
      [2],
    );
    void fixture.open('gw', 'a', 1_000);
    const { handed } = await fixture.holds('gw', 'a', rows * 2);
    const spans = new Set(handed.map((job) => Math.floor(job.jobId / 2 ** 44)));
    assert.deepEqual([...spans], [Number(lane)]);
    await fixture.stop();
  }
  const { rows: tables } = await database
    .open()
    .query<{ name: string }>(
      "select relname as name from pg_class where relname ~ '^(gw_.*jobs|sluice_ledger)_' and relname !~ '_l1_' and relkind = 'r' order by 1",
    );
  assert.deepEqual(
    tables.map(({ name }) => name),
    ['gw_jobs_1', 'gw_l2_jobs_1', 'gw_l2_jobs_2', 'sluice_ledger_1', 'sluice_ledger_l2_1', 'sluice_ledger_totals'],
  );
});

test('a database of the first release goes on with its jobs and its ledger', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const postgres = database.open();
  const folder = temporaryFolder();
  copyFileSync(join(repositoryRoot(), 'actors/storage/migrations/0001-jobs.sql'), join(folder, '0001-jobs.sql'));
  await postgres.withSession((session) => migrate(session, { folder }));
  await postgres.query(`${releasedDataset('gw', 1)}
    insert into sluice_datasets (queue, number, first_job_id) values ('gw', 1, 1);
    insert into sluice_lanes values (0, 3, 1048577, 'first release');
    insert into gw_jobs_1 select g, 0, 'a', 'u', 'm' || g, now(), '{}', '{}' from generate_series(1, 5) as g;
    insert into gw_status_1 values ('a', 0, 2, 2, 'succeeded', 1, 200, now(), null, null, '');
    insert into sluice_ledger_1 values (9, 5, 's', '', 'accepted', 5);
    insert into sluice_ledger_totals values (4, 's', '', 'accepted', 7)`);
  await postgres.withSession((session) => migrate(session));
  const fixture = storageFixture(database);
  void fixture.open('gw', 'a', 10);
  const { handed } = await fixture.holds('gw', 'a', 3);
  assert.deepEqual(
    handed.map((job) => job.jobId),
    [3, 4, 5],
  );
  assert.deepEqual((await fixture.stats()).ledger, [{ sourceId: 's', destinationId: '', kind: 'accepted', count: 12 }]);
});

test('a lane that is given up while it connects again is free afterwards', async (t) => {
  const database = await testDatabase(t);
  const postgres = database.open();
  for (let round = 0; round < 5; round += 1) {
    const fixture = storageFixture(database);
    await fixture.store('gw', ['a']);
    await postgres.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name ~ '^sluice storage'",
    );
    await fixture.stop();
    const { rows } = await postgres.query(
      "select pid from pg_locks where locktype = 'advisory' and classid = 725102 and database = (select oid from pg_database where datname = current_database())",
    );
    assert.deepEqual(rows, [], `round ${round}`);
  }
});
