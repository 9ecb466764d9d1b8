// A release can be undone: a database of the first release, with jobs in every state, goes forward to this program's
// tables, back, and forward again, and at every stop holds what it held.

import { strict as assert } from 'node:assert';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeRequest } from '../../actors/destinations/destination.ts';
import type { RequestDescriptor } from '../../actors/job.ts';
import { migrate, readMigrations } from '../../actors/storage/migrate.ts';
import type { Postgres } from '../../transport/index.ts';
import { type TestDatabase, temporaryFolder, testDatabase } from '../support/database.ts';
import { releasedDataset } from '../support/released-dataset.ts';
import { repositoryRoot } from '../support/repository.ts';
import { jobRows, storageFixture } from '../support/storage-fixture.ts';

const job = (queue: string, number: number, id: number): string =>
  `insert into ${queue}_jobs_${number} values (${id}, 0, 'p', 'u', 'm${id}', '2026-01-01T00:00:07Z',
    '{"source_id":"s","destination_id":"d","workspace_id":"w"}', '\\x7b7d');`;
const status = (queue: string, number: number, id: number, state: string, jobs = 1): string =>
  `insert into ${queue}_status_${number} values ('p', ${id - jobs}, ${id}, ${jobs}, '${state}', 1, 200, now(), now(), now(), '');`;
const counted = (table: string, group: string, destination: string, kind: string, count: number): string =>
  `insert into ${table} values (${group}29455200, 's', '${destination}', '${kind}', ${count});`;

/** Two processed gateway jobs, one aborted, one untouched; router jobs delivered, filtered, failed, waiting, untouched. */
const releasedData = [
  ...[releasedDataset('gw', 1), releasedDataset('gw', 2), releasedDataset('rt', 1), releasedDataset('batch_rt', 1)],
  `insert into sluice_datasets (queue, number, first_job_id, last_job_id, row_count, sealed_at)
     values ('gw', 1, 1, 3, 3, now()), ('gw', 2, 4, null, null, null), ('rt', 1, 1, null, null, null),
       ('batch_rt', 1, 1, null, null, null);
   insert into sluice_lanes (lane, epoch, next_job_id, owner) values (0, 4, 1048577, 'released');`,
  ...[1, 2, 3].map((id) => job('gw', 1, id)),
  job('gw', 2, 4),
  ...[11, 12, 13, 14, 15].map((id) => job('rt', 1, id)),
  ...[status('gw', 1, 2, 'succeeded', 2), status('gw', 1, 3, 'aborted')],
  ...['succeeded', 'filtered', 'failed', 'waiting'].map((state, index) => status('rt', 1, 11 + index, state)),
  counted('sluice_ledger_totals', '', '', 'accepted', 3),
  ...[counted('sluice_ledger_1', '9, ', '', 'accepted', 1), counted('sluice_ledger_1', '9, ', '', 'processed', 2)],
  ...[counted('sluice_ledger_1', '9, ', '', 'aborted', 1), counted('sluice_ledger_1', '9, ', 'd', 'routed', 5)],
  ...[counted('sluice_ledger_1', '9, ', 'd', 'delivered', 1), counted('sluice_ledger_1', '9, ', 'd', 'filtered', 1)],
].join('\n');

async function releasedDatabase(database: TestDatabase): Promise<Postgres> {
  const postgres = database.open();
  const folder = temporaryFolder();
  copyFileSync(join(repositoryRoot(), 'actors/storage/migrations/0001-jobs.sql'), join(folder, '0001-jobs.sql'));
  await postgres.withSession((session) => migrate(session, { folder }));
  await postgres.query(releasedData);
  return postgres;
}

/** Every row of every table, and every column, but for when migrations were applied. */
async function contents(postgres: Postgres): Promise<Record<string, string>> {
  const { rows: tables } = await postgres.query<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'public' and tablename <> 'sluice_migrations'",
  );
  const held: Record<string, string> = {};
  for (const { name } of tables) {
    const { rows } = await postgres.query<{ text: string | null }>(
      `select string_agg(t::text, ' ' order by t::text) as text from ${name} as t`,
    );
    held[name] = rows[0]?.text ?? '';
  }
  return held;
}

async function move(postgres: Postgres, to?: number): Promise<void> {
  await postgres.withSession((session) => migrate(session, to === undefined ? {} : { to }));
}

test('the first release goes to this one, back and forward again without losing anything', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const postgres = await releasedDatabase(database);
  const released = await contents(postgres);
  await move(postgres);
  const newest = await contents(postgres);
  await move(postgres, 1);
  assert.deepEqual(await contents(postgres), released);
  await move(postgres);
  assert.deepEqual(await contents(postgres), newest);

  const fixture = storageFixture(database);
  const { queues, ledger } = await fixture.stats();
  const pending = queues.map(({ queue, pending: count }) => [queue, count]);
  assert.deepEqual(pending.filter(([, count]) => count !== 0).sort(), [
    ['gw', 1],
    ['rt', 3],
  ]);
  assert.equal(ledger.find(({ kind }) => kind === 'accepted')?.count, 4);
  assert.deepEqual(await fixture.store('gw', ['p']), { kind: 'committed' });
});

test('every step can be taken back on its own, also from a database that was written to', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const postgres = await releasedDatabase(database);
  await move(postgres);
  const fixture = storageFixture(database);
  const entry = { minute: 7, sourceId: 's', destinationId: '', kind: 'accepted' as const, count: 1 };
  await fixture.commit({ jobs: [{ queue: 'gw', ...jobRows(['p']) }], ledger: [entry] });
  await assert.rejects(move(postgres, 1), /A running Sluice uses this database/);
  await fixture.stop();
  const versions = readMigrations().map(({ version }) => version);
  for (const version of versions.slice(0, -1).reverse()) await move(postgres, version);
  const { rows } = await postgres.query<{ jobs: number; accepted: number }>(
    `select (select count(*)::int from gw_jobs_2) as jobs,
       (select sum(count)::int from sluice_ledger_1 where kind = 'accepted') as accepted`,
  );
  assert.deepEqual(rows, [{ jobs: 2, accepted: 2 }]);
});

test('on the way back requests are written out, and nothing else is touched', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const postgres = await releasedDatabase(database);
  await move(postgres);
  const fixture = storageFixture(database);
  const requests: RequestDescriptor[] = [
    { method: 'POST', endpoint: 'http://h/', headers: {}, params: {}, format: 'JSON' },
    { method: 'GET', endpoint: 'http://h/', headers: { a: '"request":{' }, params: { b: 1 }, format: 'NONE' },
  ];
  const name = '"request":{"method":"PUT"}';
  const rows = requests.map((request) => {
    const head = JSON.stringify({ source_id: 's', destination_id: 'd', event_name: name }).slice(0, -1);
    return jobRows(['d'], { parameters: `${head},"request":${encodeRequest(request)}}` });
  });
  for (const jobs of rows) await fixture.commit({ jobs: [{ queue: 'rt', ...jobs }] });
  await fixture.stop();
  await move(postgres, 30);
  const { rows: stored } = await postgres.query<{ parameters: string }>(
    "select parameters from rt_jobs_1 where parameters like '%event_name%' order by job_id",
  );
  assert.deepEqual(
    stored.map(({ parameters }) => JSON.parse(parameters)),
    requests.map((request) => ({ source_id: 's', destination_id: 'd', event_name: name, request })),
  );
});

test('there is no way back to one lane while another one has unfinished jobs', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const postgres = await releasedDatabase(database);
  await move(postgres);
  const fixture = storageFixture(database, {}, '2');
  fixture.open('gw', 'p', 10);
  const entry = { minute: 29_455_200, sourceId: 's', destinationId: '', kind: 'accepted' as const, count: 1 };
  await fixture.commit({ jobs: [{ queue: 'gw', ...jobRows(['p']) }], ledger: [entry] });
  const { handed } = await fixture.holds('gw', 'p', 1);
  const again = async (): Promise<unknown> => {
    await fixture.stop();
    return move(postgres, 1);
  };
  const [first] = handed;
  assert.ok(first);
  await fixture.commit({
    results: [fixture.results('gw', 'p', { runs: [{ afterId: first.jobId - 1, jobIds: [first.jobId] }] })],
  });
  await fixture.commit({ jobs: [{ queue: 'rt', ...jobRows(['d']) }] });
  await assert.rejects(again(), /lane 2 still holds 1 unfinished jobs of queue rt/);
  await postgres.query('delete from rt_l2_jobs_1; delete from sluice_lanes where lane = 2');
  await move(postgres, 1);
  const { rows } = await postgres.query<{ count: number }>(
    "select sum(count)::int as count from sluice_ledger_totals where kind = 'accepted'",
  );
  assert.deepEqual(rows, [{ count: 4 }]);
});
