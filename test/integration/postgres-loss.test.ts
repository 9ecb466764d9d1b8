// Losing PostgreSQL, and waiting for it: every way to lose a session is one retryable class, no call ever hangs.

import { strict as assert } from 'node:assert';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPostgres, PostgresError, type PostgresErrorCategory } from '../../transport/index.ts';
import { type TestDatabase, type TestScope, temporaryFolder, testDatabase } from '../support/database.ts';

async function setup(t: TestScope, options: Parameters<TestDatabase['open']>[0] = {}) {
  const database = await testDatabase(t, { empty: true });
  const postgres = database.open(options);
  const session = await postgres.session();
  database.beforeDrop(() => session.close());
  return { database, postgres, session };
}

function isPostgresError(category: PostgresErrorCategory, sqlState?: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof PostgresError, `expected a PostgresError, got ${String(error)}`);
    assert.equal(error.category, category, error.message);
    if (sqlState !== undefined) assert.equal(error.sqlState, sqlState);
    return true;
  };
}

test('classifies deadlock, lock and statement timeouts as retryable', async (t) => {
  const { session, database } = await setup(t, { statementTimeoutMs: 20_000, lockTimeoutMs: 20_000 });
  const other = await database.open({ lockTimeoutMs: 50, statementTimeoutMs: 20_000 }).session();
  database.beforeDrop(() => other.close());
  await session.query('CREATE TABLE a (); CREATE TABLE b ()');
  await session.query('BEGIN; LOCK a');
  await assert.rejects(other.query('LOCK a; SELECT 1'), isPostgresError('timeout', '55P03'));
  await other.query("SET lock_timeout = '20s'");
  await other.query('BEGIN; LOCK b');
  const outcomes = await Promise.allSettled([session.query('LOCK b'), other.query('LOCK a')]);
  const [refused] = outcomes.filter((outcome) => outcome.status === 'rejected');
  assert.ok(refused !== undefined && isPostgresError('deadlock', '40P01')(refused.reason) && refused.reason.retryable);
  await session.query('ROLLBACK');
  await session.query('SET statement_timeout = 20');
  await assert.rejects(session.query('SELECT pg_sleep(10)'), isPostgresError('timeout', '57014'));
  assert.equal(session.broken, undefined);
});

test('tells a fenced commit from every other error', async (t) => {
  const { session } = await setup(t);
  const text = "DO $$ BEGIN RAISE 'old epoch' USING ERRCODE = 'SL001'; END $$";
  await assert.rejects(session.query(text), isPostgresError('fenced', 'SL001'));
});

test('rejects calls under way and later ones as retryable when the connection is lost', async (t) => {
  const { session, postgres } = await setup(t);
  const broken = new Promise<PostgresError>((resolve) => session.onBroken(resolve));
  const running = session.query('SELECT pg_sleep(60)');
  const waiting = session.copyIn('COPY a FROM STDIN (FORMAT binary)', []);
  const outcomes = Promise.allSettled([running, waiting]);
  await postgres.query('SELECT pg_terminate_backend($1)', [session.backendPid]);
  for (const outcome of await outcomes) {
    assert.ok(outcome.status === 'rejected');
    isPostgresError('connection')(outcome.reason);
    assert.equal(outcome.reason.retryable, true);
  }
  isPostgresError('connection')(await broken);
  await assert.rejects(session.query('SELECT 1'), isPostgresError('connection'));
});

test('notices the loss of an idle session', async (t) => {
  const { session, postgres } = await setup(t);
  const broken = new Promise<PostgresError>((resolve) => session.onBroken(resolve));
  await postgres.query('SELECT pg_terminate_backend($1)', [session.backendPid]);
  isPostgresError('connection')(await broken);
});

test('replaces a pooled session that was lost', async (t) => {
  const { database, session } = await setup(t);
  const postgres = database.open({ poolMax: 1 });
  await assert.rejects(
    postgres.withSession(async (pooled) => {
      await session.query('SELECT pg_terminate_backend($1)', [pooled.backendPid]);
      await pooled.query('SELECT 1');
    }),
    isPostgresError('connection'),
  );
  assert.deepEqual((await postgres.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
});

test('cuts a connection whose server never answers', async (t) => {
  const { session } = await setup(t, { statementTimeoutMs: 60_000, watchdogMs: 100 });
  const broken = new Promise<PostgresError>((resolve) => session.onBroken(resolve));
  await assert.rejects(session.query('SELECT pg_sleep(1)'), isPostgresError('timeout'));
  assert.equal((await broken).retryable, true);
});

test('gives up connecting to a server that accepts and says nothing', async (t) => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket));
  const socketDir = temporaryFolder();
  await new Promise<void>((resolve) => silent.listen(join(socketDir, '.s.PGSQL.5432'), resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const address = { socketDir, port: 5432, user: 'sluice', database: 'sluice' };
  const postgres = openPostgres({ address, applicationName: 'test', connectTimeoutMs: 50 });
  await assert.rejects(postgres.session(), isPostgresError('connection'));
  await postgres.close();
});

test('reports a server that is not there as a retryable connection error', async () => {
  const address = { socketDir: temporaryFolder(), port: 5432, user: 'sluice', database: 'sluice' };
  const postgres = openPostgres({ address, applicationName: 'test' });
  await assert.rejects(postgres.session(), isPostgresError('connection'));
  await assert.rejects(postgres.query('SELECT 1'), isPostgresError('connection'));
  await postgres.close();
});

test('holds a session lock against other sessions until it is let go', async (t) => {
  const { session, database } = await setup(t);
  const other = await database.open().session();
  database.beforeDrop(() => other.close());
  assert.equal(await session.lock(42), true);
  assert.equal(await other.lock(42), false);
  assert.equal(await other.lock(42, 20), false);
  const waiting = other.lock(42, 20_000);
  await session.unlock(42);
  assert.equal(await waiting, true);
  const { rows } = await other.query('SHOW lock_timeout');
  assert.deepEqual(rows, [{ lock_timeout: '10s' }]);
});
