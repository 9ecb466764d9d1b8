// Migrations on a real database: each file once, in order, whole or not at all, whoever else starts at the same time.

import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MigrationError, migrate, readMigrations } from '../../actors/storage/migrate.ts';
import { PostgresError } from '../../transport/index.ts';
import { type TestScope, temporaryFolder, testDatabase } from '../support/database.ts';

/** A folder with the files `0001-step.sql`, `0002-step.sql` … */
function folderOf(...files: string[]): string {
  const folder = temporaryFolder();
  for (const [index, sql] of files.entries()) {
    writeFileSync(join(folder, `${String(index + 1).padStart(4, '0')}-step.sql`), sql);
  }
  return folder;
}

async function setup(t: TestScope) {
  const database = await testDatabase(t, { empty: true });
  const postgres = database.open();
  const open = async () => {
    const session = await postgres.session();
    database.beforeDrop(() => session.close());
    return session;
  };
  return { session: await open(), open };
}

function failsWith(code: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof MigrationError, `expected a MigrationError, got ${String(error)}`);
    assert.equal(error.code, code);
    return true;
  };
}

const first = 'CREATE TABLE a (n int); INSERT INTO a VALUES (1);';
const second = `CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN n * 2; END $$;
  UPDATE a SET n = twice(n);`;

test('applies every file once, in order', async (t) => {
  const { session } = await setup(t);
  assert.deepEqual(await migrate(session, { folder: folderOf(first) }), { applied: [1], version: 1 });
  const folder = folderOf(first, second);
  assert.deepEqual(await migrate(session, { folder }), { applied: [2], version: 2 });
  assert.deepEqual(await migrate(session, { folder }), { applied: [], version: 2 });
  assert.deepEqual((await session.query('SELECT n FROM a')).rows, [{ n: 2 }]);
  const { rows } = await session.query('SELECT version, name FROM sluice_migrations ORDER BY version');
  assert.deepEqual(rows, [
    { version: 1, name: 'step' },
    { version: 2, name: 'step' },
  ]);
});

test('applies the files of this program, from the built code too', async (t) => {
  const { session } = await setup(t);
  const { applied, version } = await migrate(session);
  assert.ok(version >= 1);
  assert.equal(applied.length, version);
});

test('lets any number of sessions migrate at once', async (t) => {
  const { session, open } = await setup(t);
  const folder = folderOf(first, second);
  const sessions = [session, await open(), await open(), await open()];
  const results = await Promise.all(sessions.map((each) => migrate(each, { folder })));
  assert.deepEqual(results.flatMap((result) => result.applied).sort(), [1, 2]);
  assert.deepEqual((await session.query('SELECT n FROM a')).rows, [{ n: 2 }]);
});

test('keeps nothing of a file that fails, and goes on from there once it is right', async (t) => {
  const { session } = await setup(t);
  const failing = folderOf(first, 'CREATE TABLE b (n int); SELECT 1 / 0;');
  await assert.rejects(migrate(session, { folder: failing }), (error) => error instanceof PostgresError);
  assert.deepEqual((await session.query("SELECT to_regclass('b') AS b")).rows, [{ b: null }]);
  assert.deepEqual(await migrate(session, { folder: folderOf(first, second) }), { applied: [2], version: 2 });
});

test('refuses a file that was changed after it was applied', async (t) => {
  const { session } = await setup(t);
  await migrate(session, { folder: folderOf(first, second) });
  const changed = folderOf(`${first} `, second, 'CREATE TABLE c ();');
  await assert.rejects(migrate(session, { folder: changed }), failsWith('MIGRATION_CHANGED'));
  assert.deepEqual((await session.query("SELECT to_regclass('c') AS c")).rows, [{ c: null }]);
});

test('refuses a database that a newer program has migrated', async (t) => {
  const { session } = await setup(t);
  await migrate(session, { folder: folderOf(first, second) });
  await assert.rejects(migrate(session, { folder: folderOf(first) }), failsWith('DATABASE_NEWER'));
});

test('says that somebody else is migrating when that takes too long', async (t) => {
  const { session, open } = await setup(t);
  const other = await open();
  const folder = folderOf('SELECT pg_advisory_xact_lock(1)');
  await session.query('BEGIN; SELECT pg_advisory_xact_lock(1)');
  const waiting = migrate(other, { folder });
  const third = await open();
  // The other one holds the migration lock as soon as it waits for ours.
  const blocked = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = $1";
  while ((await third.query<{ n: number }>(blocked, [other.backendPid])).rows[0]?.n !== 1);
  await assert.rejects(migrate(third, { folder, lockWaitMs: 20 }), failsWith('MIGRATION_BUSY'));
  await session.query('COMMIT');
  assert.deepEqual(await waiting, { applied: [1], version: 1 });
});

test('refuses files that are not numbered without gaps', () => {
  const folder = folderOf(first);
  writeFileSync(join(folder, '0003-gap.sql'), 'SELECT 1');
  assert.throws(() => readMigrations(folder), failsWith('MIGRATIONS_UNREADABLE'));
});
