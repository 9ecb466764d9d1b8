// Brings the database to the shape a program needs: applies the numbered SQL files (migration-files.ts), each once,
// each in its own transaction, under one advisory lock, so that any number of processes may start at the same time.
// A file that was applied never changes. A database that a newer program migrated is refused, because we cannot know
// what its tables mean; the newer program takes it back for us (`sluice migrate --to N`), so a release can be undone.

import type { PostgresSession } from '../../transport/index.ts';
import { MigrationError } from './migration-error.ts';
import { type Migration, readMigrations } from './migration-files.ts';
import { isInUse } from './ownership.ts';

export { MigrationError } from './migration-error.ts';
export { readMigrations } from './migration-files.ts';

export interface MigrateOptions {
  /** The version to end at, one of those known or 0; may be an older one. Default: the newest. */
  to?: number;
  /** Folder of `NNNN-name.sql` files. Default: this folder's `migrations`, in the source tree. */
  folder?: string;
  /** Longest wait for another process that migrates. Default 60,000. */
  lockWaitMs?: number;
  /** Longest single migration. Default 600,000. */
  migrationTimeoutMs?: number;
}

export interface MigrateResult {
  /** Versions applied just now, ascending. */
  applied: number[];
  /** Versions taken back just now, descending. */
  reverted: number[];
  /** Version of the database afterwards; 0 when there is no migration at all. */
  version: number;
}

export interface MigrationState {
  version: number;
  name: string;
  /** Epoch ms; undefined when it is not applied. */
  appliedAtMs: number | undefined;
  reversible: boolean;
}

/** Key of the advisory lock; any constant that nobody else in this database uses ('sluice' in ASCII, cut to 48 bits). */
const migrationLockKey = 0x736c_7569_6365;

export async function migrate(session: PostgresSession, options: MigrateOptions = {}): Promise<MigrateResult> {
  const migrations = readMigrations(options.folder);
  const target = options.to ?? migrations.at(-1)?.version ?? 0;
  if (target !== 0 && !migrations.some(({ version }) => version === target)) {
    const known = migrations.map(({ version }) => version).join(', ');
    throw new MigrationError(
      'VERSION_UNKNOWN',
      `expected a version that this program knows (${known}), got ${target}`,
      'See `sluice migrate --status`.',
    );
  }
  if (!(await session.lock(migrationLockKey, options.lockWaitMs ?? 60_000))) {
    throw new MigrationError(
      'MIGRATION_BUSY',
      'Another process has been migrating this database for too long.',
      'Wait for it to end, or look for it in pg_stat_activity.',
    );
  }
  try {
    return await moveTo(session, migrations, target, options.migrationTimeoutMs ?? 600_000);
  } finally {
    if (session.broken === undefined) await session.unlock(migrationLockKey);
  }
}

/** Every migration this program knows, and whether the database has it. Changes nothing. */
export async function migrationStates(session: PostgresSession, folder?: string): Promise<MigrationState[]> {
  const migrations = readMigrations(folder);
  const { rows: tables } = await session.query<{ name: string | null }>(
    "select to_regclass('sluice_migrations')::text as name",
  );
  const applied = tables[0]?.name == null ? [] : await readApplied(session);
  checkApplied(applied, migrations);
  const at = new Map(applied.map((row) => [row.version, Number(row.applied_at_ms)]));
  return migrations.map(({ version, name, downSql }) => ({
    version,
    name,
    appliedAtMs: at.get(version),
    reversible: downSql !== undefined,
  }));
}

async function moveTo(
  session: PostgresSession,
  migrations: readonly Migration[],
  target: number,
  timeoutMs: number,
): Promise<MigrateResult> {
  await session.query(`
    CREATE TABLE IF NOT EXISTS sluice_migrations (
      version int PRIMARY KEY,
      name text NOT NULL,
      sha256 text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`);
  const done = await readApplied(session);
  checkApplied(done, migrations);
  const back = migrations
    .slice(0, done.length)
    .filter(({ version }) => version > target)
    .reverse();
  if (back.length > 0) await checkWayBack(session, back);
  for (const migration of back) await revert(session, migration, timeoutMs);
  const forth = migrations.slice(done.length).filter(({ version }) => version <= target);
  for (const migration of forth) await apply(session, migration, timeoutMs);
  return {
    applied: forth.map(({ version }) => version),
    reverted: back.map(({ version }) => version),
    version: target,
  };
}

interface AppliedMigration {
  version: number;
  name: string;
  sha256: string;
  applied_at_ms: number;
}

async function readApplied(session: PostgresSession): Promise<AppliedMigration[]> {
  const { rows } = await session.query<AppliedMigration>(
    `SELECT version, name, sha256, floor(extract(epoch from applied_at) * 1000)::bigint AS applied_at_ms
     FROM sluice_migrations ORDER BY version`,
  );
  return rows;
}

/** What was applied must be the beginning of what we know, file by file. */
function checkApplied(applied: readonly AppliedMigration[], known: readonly Migration[]): void {
  const newest = applied.at(-1)?.version ?? 0;
  const newestKnown = known.at(-1)?.version ?? 0;
  if (newest > newestKnown) {
    throw new MigrationError(
      'DATABASE_NEWER',
      `The database is at version ${newest}, this program knows up to ${newestKnown}: a newer Sluice has used it.`,
      `Start that newer Sluice again, or take the database back with it first: \`sluice migrate --to ${newestKnown}\`.`,
    );
  }
  for (const [index, row] of applied.entries()) {
    const migration = known[index];
    if (migration !== undefined && migration.version === row.version && migration.sha256 === row.sha256) continue;
    throw new MigrationError(
      'MIGRATION_CHANGED',
      `Migration ${row.version} (${row.name}) is not the one this database was migrated with.`,
      'Restore the file as it was, and put the change into a new migration.',
    );
  }
}

async function checkWayBack(session: PostgresSession, back: readonly Migration[]): Promise<void> {
  const oneWay = back.find(({ downSql }) => downSql === undefined);
  if (oneWay !== undefined) {
    throw new MigrationError(
      'MIGRATION_ONE_WAY',
      `Migration ${oneWay.version} (${oneWay.name}) cannot be taken back.`,
      'Use an older database, restored from a backup, or stay with this version.',
    );
  }
  if (await isInUse(session)) {
    throw new MigrationError(
      'DATABASE_IN_USE',
      'A running Sluice uses this database, and the older tables are not what it expects.',
      'Stop it first.',
    );
  }
}

/** The file and its record commit together. A file must not contain transaction statements of its own. */
async function apply(session: PostgresSession, { version, name, sql, sha256 }: Migration, timeoutMs: number) {
  await inTransaction(
    session,
    timeoutMs,
    sql,
    'INSERT INTO sluice_migrations (version, name, sha256) VALUES ($1, $2, $3)',
    [version, name, sha256],
  );
}

async function revert(session: PostgresSession, { version, downSql = '' }: Migration, timeoutMs: number) {
  await inTransaction(session, timeoutMs, downSql, 'DELETE FROM sluice_migrations WHERE version = $1', [version]);
}

async function inTransaction(
  session: PostgresSession,
  timeoutMs: number,
  sql: string,
  record: string,
  values: readonly unknown[],
): Promise<void> {
  await session.query(`BEGIN; SET LOCAL statement_timeout = ${timeoutMs}; SET LOCAL lock_timeout = ${timeoutMs}`);
  try {
    await session.query(sql, [], { timeoutMs: timeoutMs + 5_000 });
    await session.query(record, values);
    await session.query('COMMIT');
  } catch (error) {
    if (session.broken === undefined) await session.query('ROLLBACK');
    throw error;
  }
}
