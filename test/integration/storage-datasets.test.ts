// Datasets on a real PostgreSQL: they come when they are needed, roll, move their last jobs on, get their look-up
// indexes, and go, while jobs are read, handed out and reported on.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { DatasetList } from '../../actors/storage/dataset-list.ts';
import { createDatasetSql, jobsTable, newDataset } from '../../actors/storage/datasets.ts';
import { createJobReader } from '../../actors/storage/job-reader.ts';
import { testDatabase } from '../support/database.ts';

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
    await postgres.query(`insert into ${jobsTable(one)} values (${one.firstJobId}, 0, 'a', 'u', 'm', now(), '{}', '')`);
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
  const rows = await reader.readIds('gw', [11, 21]);
  assert.deepEqual([...rows.keys()], [11, 21]);
});
