// Migrations on a real database: each file once, in order, whole or not at all, whoever else starts at the same time.

import { strict as assert } from 'node:assert';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MigrationError, migrate, migrationStates, readMigrations } from '../../actors/storage/migrate.ts';
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
  assert.deepEqual(await migrate(session, { folder: folderOf(first) }), { applied: [1], reverted: [], version: 1 });
  const folder = folderOf(first, second);
  assert.deepEqual(await migrate(session, { folder }), { applied: [2], reverted: [], version: 2 });
  assert.deepEqual(await migrate(session, { folder }), { applied: [], reverted: [], version: 2 });
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
  assert.equal(applied[0], 1);
  assert.equal(applied.at(-1), version);
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
  assert.deepEqual(await migrate(session, { folder: folderOf(first, second) }), {
    applied: [2],
    reverted: [],
    version: 2,
  });
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
  assert.deepEqual(await waiting, { applied: [1], reverted: [], version: 1 });
});

test('takes steps back, down to the version that is asked for, and forward again', async (t) => {
  const { session } = await setup(t);
  const folder = folderOf(first, second);
  writeFileSync(join(folder, '0002-step.down.sql'), 'UPDATE a SET n = n / 2; DROP FUNCTION twice;');
  await migrate(session, { folder });
  assert.deepEqual(await migrate(session, { folder, to: 1 }), { applied: [], reverted: [2], version: 1 });
  assert.deepEqual((await session.query('SELECT n FROM a')).rows, [{ n: 1 }]);
  const states = await migrationStates(session, folder);
  assert.deepEqual(
    states.map(({ version, appliedAtMs, reversible }) => [version, appliedAtMs !== undefined, reversible]),
    [
      [1, true, false],
      [2, false, true],
    ],
  );
  // The older program knows nothing of the second file and is at home.
  assert.equal((await migrate(session, { folder: folderOf(first) })).version, 1);
  assert.deepEqual((await migrate(session, { folder })).applied, [2]);
});

test('refuses a way back that does not exist, and a version nobody knows', async (t) => {
  const { session } = await setup(t);
  const folder = folderOf(first, second);
  await migrate(session, { folder });
  await assert.rejects(migrate(session, { folder, to: 1 }), failsWith('MIGRATION_ONE_WAY'));
  await assert.rejects(migrate(session, { folder, to: 3 }), failsWith('VERSION_UNKNOWN'));
  assert.equal((await migrate(session, { folder })).version, 2);
});

test('refuses files without a number of their own, and ways back from nowhere', () => {
  const twice = folderOf(first);
  writeFileSync(join(twice, '0001-again.sql'), 'SELECT 1');
  assert.throws(() => readMigrations(twice), failsWith('MIGRATIONS_UNREADABLE'));
  const nowhere = folderOf(first, second);
  writeFileSync(join(nowhere, '0002-step.down.sql'), 'SELECT 1');
  rmSync(join(nowhere, '0002-step.sql'));
  assert.throws(() => readMigrations(nowhere), failsWith('MIGRATIONS_UNREADABLE'));
});
