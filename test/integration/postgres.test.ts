// The door to PostgreSQL against a real server: what is written is what is read, and every way to fail has its class.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { JobRowWriter, jobColumns, readJobs } from '../../actors/storage/job-row.ts';
import {
  type ArrayElementType,
  checkServer,
  describeServer,
  encodeBinaryArray,
  encodeColumns,
  PostgresError,
  type PostgresErrorCategory,
} from '../../transport/index.ts';
import { type TestDatabase, type TestScope, testDatabase } from '../support/database.ts';

const jobTypes: readonly ArrayElementType[] = ['int8', 'int8', 'text', 'text', 'text', 'timestamptz', 'text', 'bytea'];
const copyJobsIn = `COPY jobs (${jobColumns}) FROM STDIN (FORMAT binary)`;
const copyJobsOut = `COPY (SELECT ${jobColumns} FROM jobs ORDER BY job_id) TO STDOUT (FORMAT binary)`;
const jobsTable = `CREATE TABLE jobs (job_id int8 PRIMARY KEY, parent_id int8 NOT NULL, partition text NOT NULL,
  user_id text NOT NULL, message_id text NOT NULL, received_at timestamptz NOT NULL, parameters text NOT NULL,
  payload bytea NOT NULL)`;

async function setup(t: TestScope, options: Parameters<TestDatabase['open']>[0] = {}) {
  const database = await testDatabase(t, { empty: true });
  const postgres = database.open(options);
  const session = await postgres.session();
  database.beforeDrop(() => session.close());
  await session.query(jobsTable);
  return { database, postgres, session };
}

function writeJobs(count: number, firstId = 1, payloadBytes = 100): { rows: Uint8Array; jobIds: number[] } {
  const writer = new JobRowWriter();
  const jobIds: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const jobId = firstId + index;
    jobIds.push(jobId);
    const payload = Buffer.alloc(payloadBytes, index % 256);
    const names = { partition: `source-${index % 3}`, userId: `a<<>>ü${index}<<>>`, messageId: `m${jobId}` };
    writer.append({ jobId, parentId: 0, ...names, receivedAtMs: 1_790_000_000_123 + index, parameters: '{}' }, [
      payload,
    ]);
  }
  return { rows: writer.take().rows, jobIds };
}

function isPostgresError(category: PostgresErrorCategory, sqlState?: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof PostgresError, `expected a PostgresError, got ${String(error)}`);
    assert.equal(error.category, category, error.message);
    if (sqlState !== undefined) assert.equal(error.sqlState, sqlState);
    return true;
  };
}

test('returns by COPY exactly the bytes that went in by COPY, however they are cut', async (t) => {
  const { session } = await setup(t);
  const { rows } = writeJobs(3_000);
  const cuts = [rows.subarray(0, 1), rows.subarray(1, 70_000), rows.subarray(70_000)];
  assert.equal(await session.copyIn(copyJobsIn, cuts), 3_000);
  const back = await session.copyOut(copyJobsOut);
  assert.deepEqual(back, Buffer.from(rows));
  const { rows: found } = await session.query<{ n: number; at: Date }>(
    'SELECT count(*) AS n, min(received_at) AS at FROM jobs',
  );
  assert.deepEqual(found, [{ n: 3_000, at: new Date(1_790_000_000_123) }]);
});

test('copies nothing in and nothing out', async (t) => {
  const { session } = await setup(t);
  assert.equal(await session.copyIn(copyJobsIn, []), 0);
  assert.equal((await session.copyOut(copyJobsOut)).byteLength, 0);
});

test('copies a group of many megabytes in small pieces', async (t) => {
  const { session } = await setup(t);
  const pieces = Array.from({ length: 200 }, (_, index) => writeJobs(20, 1 + index * 20, 4_000).rows);
  assert.equal(await session.copyIn(`BEGIN; ${copyJobsIn}`, pieces), 4_000);
  await session.query('COMMIT');
  assert.equal(readJobs(await session.copyOut(copyJobsOut)).length, 4_000);
});

test('inserts encoded rows by one prepared statement with binary arrays', async (t) => {
  const { session } = await setup(t);
  const text = `INSERT INTO jobs (${jobColumns}) SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[], $4::text[],
    $5::text[], $6::timestamptz[], $7::text[], $8::bytea[])`;
  const first = writeJobs(20);
  const second = writeJobs(7, 21);
  for (const pieces of [[first.rows, second.rows], []]) {
    const { rowCount } = await session.prepared({ name: 'insert-jobs', text, values: encodeColumns(pieces, jobTypes) });
    assert.equal(rowCount, pieces.length === 0 ? 0 : 27);
  }
  assert.deepEqual(await session.copyOut(copyJobsOut), Buffer.concat([first.rows, second.rows]));
});

test('passes every element type and NULL in a binary array', async (t) => {
  const { session } = await setup(t);
  const field = (hex: string): Buffer => {
    const bytes = Buffer.from(hex, 'hex');
    const length = Buffer.alloc(4);
    length.writeInt32BE(bytes.byteLength);
    return Buffer.concat([length, bytes]);
  };
  const nothing = Buffer.from('ffffffff', 'hex');
  const values = [
    encodeBinaryArray('bool', [field('01'), nothing], 2),
    encodeBinaryArray('int2', [field('ffff'), nothing], 2),
    encodeBinaryArray('int4', [Buffer.concat([field('00000007'), nothing])], 2),
    encodeBinaryArray('bytea', [field('00ff'), field('')], 2),
  ];
  const { rows } = await session.prepared<unknown[]>(
    { name: 'types', text: 'SELECT $1::bool[], $2::int2[], $3::int4[], $4::bytea[]', values },
    { asArrays: true },
  );
  assert.deepEqual(rows, [
    [
      [true, null],
      [-1, null],
      [7, null],
      [Buffer.from([0, 255]), Buffer.alloc(0)],
    ],
  ]);
});

test('reads int8 as a number where that is exact and as a bigint where not', async (t) => {
  const { session } = await setup(t);
  const { rows } = await session.query<unknown[]>('SELECT 9007199254740991::int8, 9007199254740993::int8', [], {
    asArrays: true,
  });
  assert.deepEqual(rows, [[9_007_199_254_740_991, 9_007_199_254_740_993n]]);
});

test('connects by URL as well as by socket folder', async (t) => {
  const { database } = await setup(t);
  const byUrl = database.open({ address: { url: database.url } });
  const { rows } = await byUrl.query('SELECT current_database() AS name');
  assert.deepEqual(rows, [{ name: database.name }]);
});

test('answers the last of several statements', async (t) => {
  const { session } = await setup(t);
  const { rows, rowCount } = await session.query('BEGIN; CREATE TEMP TABLE x (a int); COMMIT; SELECT 1 AS one');
  assert.deepEqual({ rows, rowCount }, { rows: [{ one: 1 }], rowCount: 1 });
});

test('sets every session, dedicated or pooled, to our timeouts and durability', async (t) => {
  const { session, postgres } = await setup(t, { statementTimeoutMs: 1_234, poolMax: 1 });
  const text = `SELECT current_setting('statement_timeout') AS a, current_setting('synchronous_commit') AS b,
    current_setting('jit') AS c, current_setting('idle_in_transaction_session_timeout') AS d`;
  const expected = [{ a: '1234ms', b: 'on', c: 'off', d: '1min' }];
  assert.deepEqual((await session.query(text)).rows, expected);
  for (let round = 0; round < 3; round += 1) assert.deepEqual((await postgres.query(text)).rows, expected);
});

test('tells refused data from broken rules and keeps the session usable', async (t) => {
  const { session } = await setup(t);
  const { rows } = writeJobs(200);
  await session.copyIn(copyJobsIn, [rows]);
  await assert.rejects(session.copyIn(copyJobsIn, [rows]), isPostgresError('constraint', '23505'));
  const notUtf8 = Buffer.from(writeJobs(1, 900).rows);
  notUtf8.set([0xff, 0xfe], notUtf8.indexOf('source-0'));
  await assert.rejects(session.copyIn(copyJobsIn, [notUtf8]), isPostgresError('data', '22021'));
  await assert.rejects(session.copyIn(copyJobsIn, [rows.subarray(0, 50)]), isPostgresError('data', '22P04'));
  await assert.rejects(
    session.copyIn('COPY nowhere FROM STDIN (FORMAT binary)', [rows]),
    isPostgresError('other', '42P01'),
  );
  await assert.rejects(session.copyOut('COPY nowhere TO STDOUT (FORMAT binary)'), isPostgresError('other', '42P01'));
  assert.equal(session.broken, undefined);
  assert.equal(readJobs(await session.copyOut(copyJobsOut)).length, 200);
});

test('leaves nothing of a refused COPY behind for the next one', async (t) => {
  const { session } = await setup(t);
  await session.copyIn(copyJobsIn, [writeJobs(1).rows]);
  const refused = writeJobs(4_000, 1, 4_000);
  const pieces = Array.from({ length: 250 }, (_, index) => refused.rows.subarray(index * 65_536, (index + 1) * 65_536));
  await assert.rejects(session.copyIn(`BEGIN; ${copyJobsIn}`, pieces), isPostgresError('constraint'));
  await session.query('ROLLBACK');
  const next = writeJobs(4_000, 10_000, 4_000);
  assert.equal(await session.copyIn(copyJobsIn, [next.rows]), 4_000);
  assert.equal(readJobs(await session.copyOut(copyJobsOut)).length, 4_001);
});

test('never puts the offending value into the error', async (t) => {
  const { session } = await setup(t);
  for (const text of ["SELECT 'secret-value'::int", "SELECT 'secret-value'::timestamptz"]) {
    await assert.rejects(session.query(text), (error: Error) => {
      assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /secret-value/);
      return isPostgresError('data')(error);
    });
  }
});

test('lends no session that is still in a transaction of its last borrower', async (t) => {
  const database = await testDatabase(t, { empty: true });
  const postgres = database.open({ poolMax: 1 });
  const failures = ['BEGIN; SELECT 1 / 0', 'BEGIN; SELECT pg_current_xact_id()'];
  for (const text of failures) {
    const work = postgres.withSession(async (session) => {
      await session.query(text);
      throw new Error('half way');
    });
    await assert.rejects(work);
    const { rows } = await postgres.query('SELECT pg_current_xact_id_if_assigned() AS transaction');
    assert.deepEqual(rows, [{ transaction: null }]);
  }
});

test('refuses a COPY out beyond its limit and stays usable', async (t) => {
  const { session } = await setup(t);
  await session.copyIn(copyJobsIn, [writeJobs(1_000).rows]);
  await assert.rejects(session.copyOut(copyJobsOut, { bytesMax: 1_000 }), isPostgresError('other'));
  assert.equal((await session.query<{ one: number }>('SELECT 1 AS one')).rows[0]?.one, 1);
});

test('runs calls of one session one after the other in their order', async (t) => {
  const { session } = await setup(t);
  const calls = [
    session.query('BEGIN'),
    session.copyIn(copyJobsIn, [writeJobs(100).rows]),
    session.query('COMMIT'),
    session.copyOut(copyJobsOut),
  ] as const;
  assert.equal(readJobs(await calls[3]).length, 100);
  await Promise.all(calls);
});

test('describes the server and names what weakens a promise', async (t) => {
  const { session } = await setup(t);
  const server = await describeServer(session);
  assert.ok(server.versionNumber >= 130_000 && server.dataDirectory !== undefined);
  // The tests' server runs without fsync, so the check has something to find.
  assert.deepEqual(
    checkServer(server).map((problem) => problem.message.split(' ')[0]),
    ['fsync', 'full_page_writes'],
  );
  const [worst] = checkServer({ ...server, version: '12.9', versionNumber: 120_009 });
  assert.equal(worst?.severity, 'error');
});
