// What the storage actor promises, on a real PostgreSQL: commits are whole or not there, jobs are handed on once per
// session, nothing is forgotten by a restart, a lost connection or a refused row, and only one process may write.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { LedgerTables } from '../../actors/storage/ledger-tables.ts';
import { takeLane } from '../../actors/storage/ownership.ts';
import { recoverLedger } from '../../actors/storage/recovery.ts';
import { RuntimeError } from '../../runtime/index.ts';
import { testDatabase } from '../support/database.ts';
import { jobRows, statusOf, storageFixture } from '../support/storage-fixture.ts';

const many = (partition: string, count: number): string[] => Array.from({ length: count }, () => partition);

test('stores jobs, hands them on after the commit and counts them finished with their results', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  void fixture.open('gw', 'a', 10);
  assert.deepEqual(await fixture.store('gw', ['a', 'b', 'a']), { kind: 'committed' });
  const { handed } = await fixture.holds('gw', 'a', 2);
  assert.deepEqual(
    handed.map((job) => job.partition),
    ['a', 'a'],
  );
  const jobIds = handed.map((job) => job.jobId);
  const reply = await fixture.commit({
    jobs: [{ queue: 'rt', ...jobRows(['d'], { parentId: jobIds[0] ?? 0 }) }],
    results: [fixture.results('gw', 'a', { runs: [{ afterId: 0, jobIds }] })],
    ledger: [{ minute: 7, sourceId: 's', destinationId: '', kind: 'processed', count: 2 }],
  });
  assert.deepEqual(reply, { kind: 'committed' });
  const { queues, ledger } = await fixture.stats();
  assert.deepEqual(
    queues.map(({ queue, pending }) => [queue, pending]),
    [
      ['gw', 1],
      ['rt', 1],
    ],
  );
  assert.deepEqual(ledger, [{ sourceId: 's', destinationId: '', kind: 'processed', count: 2 }]);
  const { rows } = await database.open().query('select partition, after_id, job_id, jobs, state from gw_status_1');
  assert.deepEqual(rows, [{ partition: 'a', after_id: 0, job_id: jobIds[1], jobs: 2, state: 'succeeded' }]);
});

test('large groups go by COPY and are handed on in order', async (t) => {
  const fixture = storageFixture(await testDatabase(t));
  void fixture.open('gw', 'a', 1_000);
  await Promise.all([fixture.store('gw', many('a', 300)), fixture.store('gw', many('a', 300))]);
  const { handed } = await fixture.holds('gw', 'a', 600);
  const ids = handed.map((job) => job.jobId);
  assert.deepEqual(
    ids,
    [...ids].sort((x, y) => x - y),
  );
  assert.equal(new Set(ids).size, 600);
});

test('a partition without demand is read back from Postgres when it asks', async (t) => {
  const fixture = storageFixture(await testDatabase(t), { handOffBytesMax: 1_048_576 });
  const rows = (): Promise<unknown> =>
    fixture.commit({ jobs: [{ queue: 'gw', ...jobRows(many('a', 200), { parameters: 'x'.repeat(4_000) }) }] });
  for (let round = 0; round < 4; round += 1) await rows();
  const { queues } = await fixture.stats();
  assert.equal(queues[0]?.partitions[0]?.behind, true, 'more than the memory budget');
  void fixture.open('gw', 'a', 500);
  await fixture.holds('gw', 'a', 500);
  await rows();
  fixture.pull('gw', 'a', 500);
  const { handed } = await fixture.holds('gw', 'a', 1_000);
  const ids = handed.map((job) => job.jobId);
  assert.deepEqual(
    ids,
    [...new Set(ids)].sort((x, y) => x - y),
  );
});

test('small commits into many tables at once are told apart from one another', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database, { datasetRowsMax: 100 });
  fixture.open('gw', 'a', 1_000);
  fixture.open('rt', 'd', 1_000);
  const ledger = [{ minute: 1, sourceId: 's', destinationId: '', kind: 'accepted' as const, count: 1 }];
  for (let round = 1; round <= 45; round += 1) {
    const jobs = [
      { queue: 'gw' as const, ...jobRows(many('a', 5)) },
      { queue: 'rt' as const, ...jobRows(many('d', 5)) },
    ];
    const results = ['gw', 'rt'].map((queue) => {
      const [name, key] = queue === 'gw' ? (['gw', 'a'] as const) : (['rt', 'd'] as const);
      const unfinished = fixture.consumer(name, key).handed.slice(-5);
      return fixture.results(name, key, {
        runs: unfinished.map((job) => ({ afterId: job.jobId - 1, jobIds: [job.jobId] })),
      });
    });
    assert.deepEqual(await fixture.commit({ jobs, results, ledger }), { kind: 'committed' });
    await fixture.holds('gw', 'a', round * 5);
    await fixture.holds('rt', 'd', round * 5);
  }
  const { queues } = await fixture.stats();
  assert.deepEqual(
    queues.map(({ queue, pending }) => [queue, pending]),
    [
      ['gw', 5],
      ['rt', 5],
    ],
  );
  const { rows } = await database.open().query<{ jobs: number }>(
    `select sum(jobs)::int as jobs from (select jobs from gw_status_1 union all select jobs from gw_status_2
     union all select jobs from gw_status_3) as statuses`,
  );
  assert.equal(rows[0]?.jobs, 220);
});

test('large jobs are handed out and read back in messages and statements of bounded size', async (t) => {
  const fixture = storageFixture(await testDatabase(t), { handOffBytesMax: 2_097_152, readBytesMax: 2_097_152 });
  const large = () => jobRows(many('a', 2), { parameters: 'x'.repeat(700_000) });
  for (let round = 0; round < 6; round += 1) await fixture.commit({ jobs: [{ queue: 'gw', ...large() }] });
  fixture.open('gw', 'a', 100);
  const first = await fixture.holds('gw', 'a', 12);
  assert.ok(first.messages.every((message) => message.rows.byteLength < 1_500_000));
  fixture.open('gw', 'a', 100);
  const again = await fixture.holds('gw', 'a', 12);
  assert.ok(again.messages.every((message) => message.afterId === -1 && message.rows.byteLength < 1_500_000));
  const ids = again.handed.map((job) => job.jobId);
  assert.deepEqual(
    ids,
    [...ids].sort((x, y) => x - y),
  );
});

test('only the row that Postgres refuses fails, its neighbours in the group are stored', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  await fixture.stats();
  const poison = { jobs: [{ queue: 'gw' as const, ...jobRows(['a'], { userId: 'nul\u0000here' }) }] };
  const replies = await Promise.all([
    fixture.store('gw', ['a']),
    fixture.commit(poison),
    fixture.store('gw', many('a', 100)),
    fixture.store('gw', ['a']),
  ]);
  assert.deepEqual(
    replies.map((reply) => reply.kind),
    ['committed', 'refused', 'committed', 'committed'],
  );
  assert.equal(replies[1]?.kind === 'refused' && replies[1].sqlState, '22021');
  const { rows } = await database.open().query<{ count: number }>('select count(*) from gw_jobs_1');
  assert.equal(rows[0]?.count, 102);
});

test('events whose sender was told to send again are not stored once Postgres goes on', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  await fixture.stats();
  const blocker = await database.open().session();
  // Every commit waits for this lock, as it would for a disk that has stopped.
  await blocker.query('select pg_advisory_lock(725101, 0)');
  const underWay = fixture.store('gw', ['a']);
  await fixture.stats();
  const jobs = [{ queue: 'gw' as const, ...jobRows(['a', 'a']) }];
  const commit = { kind: 'commit' as const, jobs, results: [], ledger: [] };
  await assert.rejects(fixture.storage.ask(commit, { timeoutMs: 20 }), { code: 'ASK_TIMEOUT' });
  const later = fixture.store('gw', ['a']);
  await blocker.query('select pg_advisory_unlock(725101, 0)');
  assert.deepEqual(await Promise.all([underWay, later]), [{ kind: 'committed' }, { kind: 'committed' }]);
  const { rows } = await database.open().query<{ count: number }>('select count(*) from gw_jobs_1');
  assert.equal(rows[0]?.count, 2);
  await blocker.close();
});

test('bytes that are not job rows are refused and harm nobody', async (t) => {
  const fixture = storageFixture(await testDatabase(t));
  const reply = await fixture.commit({ jobs: [{ queue: 'gw', rows: new Uint8Array([1, 2, 3]), count: 1 }] });
  assert.equal(reply.kind, 'refused');
  assert.deepEqual(await fixture.store('gw', ['a']), { kind: 'committed' });
});

test('a restart hands out exactly what was unfinished, with the last status of each job', async (t) => {
  const database = await testDatabase(t);
  const first = storageFixture(database);
  first.open('gw', 'a', 6);
  await first.store('gw', many('a', 10));
  const { handed } = await first.holds('gw', 'a', 6);
  const [one = 0, two = 0, three = 0, four = 0, five = 0, six = 0] = handed.map((job) => job.jobId);
  const failed = statusOf(three, { attempt: 2, response: '{"response":"busy"}' });
  await first.commit({
    results: [
      first.results('gw', 'a', {
        runs: [
          { afterId: 0, jobIds: [one, two] },
          { afterId: four, jobIds: [five] },
        ],
        statuses: [statusOf(three, { attempt: 1, code: 503 }), failed],
      }),
    ],
  });
  const kept = { ...failed, response: '' };
  first.open('gw', 'a', 3);
  const reopened = await first.holds('gw', 'a', 3);
  assert.deepEqual(reopened.statuses.get(three), kept, 'what a destination said is not kept in memory');
  await first.stop();

  const second = storageFixture(database);
  assert.equal((await second.stats()).queues.find((queue) => queue.queue === 'gw')?.pending, 7);
  second.open('gw', 'a', 100);
  const again = await second.holds('gw', 'a', 7);
  assert.deepEqual(again.handed.map((job) => job.jobId).slice(0, 3), [three, four, six]);
  assert.equal(again.handed.length, 7);
  assert.deepEqual(again.statuses.get(three), kept, 'the newest attempt, without what the destination said');
  const fresh = again.messages.filter((message) => message.afterId >= 0);
  assert.equal(
    fresh.reduce((sum, message) => sum + message.count, 0),
    5,
    'six and later were never reported on',
  );
});

test('results of an older session are stale and change nothing', async (t) => {
  const fixture = storageFixture(await testDatabase(t));
  void fixture.open('gw', 'a', 10);
  await fixture.store('gw', ['a']);
  const { handed } = await fixture.holds('gw', 'a', 1);
  const old = fixture.results('gw', 'a', { runs: [{ afterId: 0, jobIds: handed.map((job) => job.jobId) }] });
  void fixture.open('gw', 'a', 10);
  assert.deepEqual(await fixture.commit({ results: [old] }), { kind: 'stale' });
  assert.equal((await fixture.holds('gw', 'a', 1)).handed.length, 1);
  assert.equal((await fixture.stats()).queues[0]?.pending, 1);
});

test('a cut connection costs no commit and doubles none', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  await fixture.stats();
  const other = database.open();
  const replies: Promise<{ kind: string }>[] = [];
  for (let round = 0; round < 8; round += 1) {
    for (let index = 0; index < 10; index += 1) replies.push(fixture.store('gw', many(`p${index}`, 20)));
    await other.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'sluice storage%'",
    );
  }
  for (const reply of await Promise.all(replies)) assert.deepEqual(reply, { kind: 'committed' });
  const { rows } = await other.query<{ count: number; ids: number }>(
    'select count(*), count(distinct job_id) as ids from gw_jobs_1',
  );
  assert.deepEqual(rows, [{ count: 1_600, ids: 1_600 }]);
  assert.equal((await fixture.stats()).queues[0]?.pending, 1_600);
});

test('Postgres itself refuses the commits of a process whose lane was taken over', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  await fixture.store('gw', ['a']);
  const other = database.open();
  // A take-over as it happens after the owner's connection was believed dead: the lock is free, the owner is not.
  await other.query('update sluice_lanes set epoch = epoch + 1 where lane = 0');
  const late = fixture.storage.ask(
    { kind: 'commit', jobs: [{ queue: 'gw', ...jobRows(['a']) }], results: [], ledger: [] },
    { timeoutMs: 500 },
  );
  await assert.rejects(late, (error) => error instanceof RuntimeError);
  const { rows } = await other.query<{ count: number }>('select count(*) from gw_jobs_1');
  assert.equal(rows[0]?.count, 1);
  assert.match(fixture.failures.join(), /newer epoch/);
});

test('a lane has one owner at a time', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database);
  await fixture.stats();
  await database.open().withSession(async (session) => {
    await assert.rejects(takeLane(session, 0, 'another'), { code: 'LANE_OWNED' });
  });
});

test('full datasets are rolled, and a restart finds what is unfinished in any of them', async (t) => {
  const database = await testDatabase(t);
  const fixture = storageFixture(database, { datasetRowsMax: 100 });
  void fixture.open('gw', 'a', 10_000);
  for (let round = 0; round < 6; round += 1) await fixture.store('gw', many('a', 60));
  const { handed } = await fixture.holds('gw', 'a', 360);
  const jobIds = handed.map((job) => job.jobId);
  await fixture.commit({
    results: [fixture.results('gw', 'a', { runs: [{ afterId: 0, jobIds: jobIds.slice(0, 300) }] })],
  });
  const other = database.open();
  const datasets = await other.query<{ number: number; rows: number }>(
    "select number, row_count::int as rows from sluice_datasets where queue = 'gw' order by number",
  );
  assert.deepEqual(datasets.rows, [
    { number: 1, rows: 120 },
    { number: 2, rows: 120 },
    { number: 3, rows: 120 },
  ]);
  await fixture.stop();
  const second = storageFixture(database, { datasetRowsMax: 100 });
  assert.equal((await second.stats()).queues.find((queue) => queue.queue === 'gw')?.pending, 60);
  second.open('gw', 'a', 1_000);
  assert.deepEqual(
    (await second.holds('gw', 'a', 60)).handed.map((job) => job.jobId),
    jobIds.slice(300),
  );
});

test('the ledger is folded into totals without losing a count, but not by a process that lost its lane', async (t) => {
  const database = await testDatabase(t);
  await database.open({ poolMax: 1 }).withSession(async (session) => {
    const fence = await takeLane(session, 0, 'test');
    await session.query(
      "insert into sluice_ledger_1 select g, 5, 's', 'd', 'delivered', 2 from generate_series(1, 10) g",
    );
    const tables = new LedgerTables([1]);
    const nowMs = 0;
    const lane = { fence, ledgerInUse: undefined };
    tables.written(1_000_000);
    await tables.fold(session, lane, nowMs);
    assert.equal(tables.current, 2);
    const stranger = { ...lane, fence: { lane: 0, epoch: fence.epoch - 1 } };
    await assert.rejects(tables.fold(session, stranger, nowMs), { code: 'POSTGRES_FENCED' });
    await tables.fold(session, lane, nowMs);
    assert.equal(tables.hasWork(nowMs), false);
    const { rows } = await session.query<{ name: string }>(
      "select relname as name from pg_class where relname ~ '^sluice_ledger' and relkind = 'r' order by 1",
    );
    assert.deepEqual(
      rows.map((row) => row.name),
      ['sluice_ledger_2', 'sluice_ledger_totals'],
    );
    const totals = await recoverLedger(session, 0, [2]);
    assert.deepEqual(totals, [{ minute: 0, sourceId: 's', destinationId: 'd', kind: 'delivered', count: 20 }]);
  });
});

test('minutes of the ledger that are closed are added up by day after a week, and no others', async (t) => {
  const database = await testDatabase(t);
  await database.open({ poolMax: 1 }).withSession(async (session) => {
    const fence = await takeLane(session, 0, 'test');
    const day = 20_000 * 1_440;
    const total = (minute: number, kind: string, count: number) =>
      `insert into sluice_ledger_totals (lane, minute, source_id, destination_id, kind, count)
       values (0, ${minute}, 's', '', '${kind}', ${count})`;
    await session.query(
      [
        ...[total(day, 'accepted', 1), total(day, 'processed', 1)],
        ...[total(day + 5, 'accepted', 3), total(day + 5, 'processed', 2), total(day + 5, 'aborted', 1)],
        ...[total(day + 9, 'accepted', 4), total(day + 9, 'deduplicated', 4)],
        // One is pending still.
        ...[total(day + 10, 'accepted', 7), total(day + 10, 'processed', 6)],
        ...[total(day + 2 * 1_440 + 3, 'accepted', 8), total(day + 2 * 1_440 + 3, 'processed', 8)],
      ].join(';'),
    );
    const tables = new LedgerTables([1]);
    const nowMs = (day + 8 * 1_440) * 60_000;
    await tables.fold(session, { fence, ledgerInUse: undefined }, nowMs);
    assert.equal(tables.hasWork(nowMs), false);
    const { rows } = await session.query<[number, string, number]>(
      `select minute - ${day}, kind, count from sluice_ledger_totals order by 1, 2`,
      [],
      { asArrays: true },
    );
    assert.deepEqual(rows, [
      ...[
        [0, 'aborted', 1],
        [0, 'accepted', 8],
        [0, 'deduplicated', 4],
        [0, 'processed', 3],
      ],
      ...[
        [10, 'accepted', 7],
        [10, 'processed', 6],
      ],
      ...[
        [2_883, 'accepted', 8],
        [2_883, 'processed', 8],
      ],
    ]);
  });
});
