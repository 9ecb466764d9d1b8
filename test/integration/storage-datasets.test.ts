// Datasets on a real PostgreSQL: they come when they are needed, roll, move their last jobs on, get their look-up
// indexes, and go, while jobs are read, handed out and reported on.

import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { JobsFound } from '../../actors/storage/contract.ts';
import { DatasetList } from '../../actors/storage/dataset-list.ts';
import { createDatasetSql, jobsTable, newDataset } from '../../actors/storage/datasets.ts';
import { createJobReader } from '../../actors/storage/job-reader.ts';
import { jobColumns } from '../../actors/storage/job-row.ts';
import { migrate } from '../../actors/storage/migrate.ts';
import { planMove } from '../../actors/storage/residues.ts';
import { testDatabase } from '../support/database.ts';
import { jobRows, storageFixture } from '../support/storage-fixture.ts';

test('a dataset that goes while a backlog is read hides no other one', async (t) => {
  const database = await testDatabase(t);
  const postgres = database.open({ poolMax: 1 });
  const name = { lane: 0, queue: 'gw' as const, createdAtMs: 0 };
  const list = new DatasetList(name, [
    newDataset({ ...name, number: 1, firstJobId: 1, lastJobId: 10 }),
    newDataset({ ...name, number: 2, firstJobId: 11, lastJobId: 20 }),
    newDataset({ ...name, number: 3, firstJobId: 21 }),
  ]);
  for (const one of list.all) {
    await postgres.query(createDatasetSql(one));
    const values = `${one.firstJobId}, 0, 'a', 'u', 'm', now(), '{}', ''`;
    await postgres.query(`insert into ${jobsTable(one)} (${jobColumns}) values (${values})`);
  }
  const [first] = list.all;
  assert.ok(first);
  const session = await postgres.session();
  database.beforeDrop(() => session.close());
  const reader = createJobReader({
    datasets: new Map([['gw', list]]),
    session: async () => {
      list.remove(first);
      return session;
    },
  });
  const ranges = await reader.readRanges('gw', [{ partition: 'a', afterId: 0, limit: 10, bytesMax: 1_000_000 }], 100);
  assert.deepEqual(
    ranges.get('a')?.map((row) => row.jobId),
    [1, 11, 21],
  );
  const rows = await reader.readIds('gw', [{ partition: 'a', jobIds: [11, 21] }]);
  assert.deepEqual([...rows.keys()], [11, 21]);
});

test('a few unfinished jobs of old datasets, side by side, are worth a move; many, new or moved ones are not', () => {
  const name = { lane: 0, queue: 'gw' as const, createdAtMs: 0 };
  const limits = { datasetAgeMs: 1_000, residueRowsMax: 100, residuePercentMax: 10 };
  const numbersToMove = (...datasets: [rows: number, unfinished: number, isResidue?: boolean][]) => {
    const sealed = datasets.map(([rows, unfinished, isResidue = false], index) =>
      newDataset({
        ...name,
        number: index + 1,
        firstJobId: index * 10_000 + 1,
        lastJobId: (index + 1) * 10_000,
        rows,
        finished: rows - unfinished,
        isResidue,
      }),
    );
    const live = newDataset({ ...name, number: 90, firstJobId: 900_001, rows: 10, finished: 9 });
    const move = (nowMs: number) => planMove(new DatasetList(name, [...sealed, live]), nowMs, limits);
    assert.deepEqual(move(999), [], 'nothing is moved before its time');
    return move(1_000).map(({ number }) => number);
  };
  assert.deepEqual(numbersToMove([1_000, 5]), [1]);
  assert.deepEqual(numbersToMove([1_000, 101]), [], 'more than may be moved at once');
  assert.deepEqual(numbersToMove([100, 11]), [], 'more than a tenth');
  assert.deepEqual(numbersToMove([1_000, 0], [1_000, 5], [1_000, 0], [1_000, 6], [1_000, 0]), [2, 3, 4]);
  assert.deepEqual(numbersToMove([1_000, 5], [1_000, 900], [1_000, 5]), [1], 'ids between them are somebody else’s');
  assert.deepEqual(numbersToMove([1_000, 60], [1_000, 60]), [1], 'as many as fit');
  assert.deepEqual(numbersToMove([50, 50, true]), [], 'a residue does not go round in circles');
  assert.deepEqual(numbersToMove([50, 50, true], [1_000, 5]), [1, 2], 'but takes others in');
  assert.deepEqual(numbersToMove([50, 2, true]), [1], 'and shrinks when most of it is finished');
});

test('there is no way back while moved jobs are unfinished, and then there is', async (t) => {
  const database = await testDatabase(t);
  const settings = { datasetAgeMs: 0, residuePercentMax: 100 };
  const fixture = storageFixture(database, settings);
  fixture.open('gw', 'a', 10);
  await fixture.store('gw', ['a', 'a']);
  const jobIds = (await fixture.holds('gw', 'a', 2)).handed.map((job) => job.jobId);
  await fixture.maintain();
  await fixture.stop();
  await database.open({ poolMax: 1 }).withSession(async (session) => {
    await assert.rejects(migrate(session, { to: 2 }), /2 unfinished jobs that were moved/);
  });
  const again = storageFixture(database, settings);
  again.open('gw', 'a', 10);
  await again.holds('gw', 'a', 2);
  await again.commit({
    results: [again.results('gw', 'a', { runs: jobIds.map((id) => ({ afterId: id - 1, jobIds: [id] })) })],
  });
  await again.stop();
  await database.open({ poolMax: 1 }).withSession(async (session) => {
    await migrate(session, { to: 2 });
    const { rows } = await session.query("select 1 from sluice_datasets where queue in ('gw', 'rt')");
    assert.equal(rows.length, 0, 'nothing was kept but what is finished, and that goes');
    await migrate(session);
  });
  const newest = storageFixture(database, settings);
  assert.deepEqual(await newest.store('gw', ['a']), { kind: 'committed' });
});

test('an id that is too long for an index costs that index alone, and maintenance goes on', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database, { datasetAgeMs: 0 });
  const messageId = randomBytes(8_000).toString('base64url');
  for (const id of [messageId, 'short']) {
    await fixture.commit({ jobs: [{ queue: 'gw', ...jobRows(['a'], { messageId: id }) }] });
    await fixture.maintain();
  }
  const { maintenance } = await fixture.stats();
  assert.deepEqual([maintenance.failures, maintenance.failure], [0, '']);
  const { rows } = await database
    .open({ poolMax: 1 })
    .query<{ name: string }>(
      "select relname as name from pg_class where relname ~ '^gw_jobs_[12]_(id|message|user)$' order by 1",
    );
  assert.deepEqual(
    rows.map(({ name }) => name),
    ['gw_jobs_1_id', 'gw_jobs_1_user', 'gw_jobs_2_id', 'gw_jobs_2_message', 'gw_jobs_2_user'],
  );
  const wanted = { kind: 'lookUpJobs', wanted: { messageId } } as const;
  const found = await fixture.storage.ask<JobsFound>(wanted, { timeoutMs: 20_000 });
  assert.equal(found.kind === 'jobsFound' ? found.jobs.length : found.reason, 1);
});
