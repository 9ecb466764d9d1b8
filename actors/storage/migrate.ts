// Brings the database to the shape this program needs: applies the numbered SQL files beside it, each once, each in
// its own transaction, under one advisory lock, so that any number of processes may start at the same time. A file
// that was applied never changes; a database that a newer program migrated is refused, because we cannot know what
// its tables mean.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PostgresSession } from '../../transport/index.ts';

export type MigrationCode = 'MIGRATION_CHANGED' | 'DATABASE_NEWER' | 'MIGRATION_BUSY' | 'MIGRATIONS_UNREADABLE';

export class MigrationError extends Error {
  readonly code: MigrationCode;
  /** One sentence. */
  readonly fix: string;
  /** Only a lock that somebody holds goes away by itself. */
  readonly retryable: boolean;

  constructor(code: MigrationCode, message: string, fix: string) {
    super(message);
    this.name = 'MigrationError';
    this.code = code;
    this.fix = fix;
    this.retryable = code === 'MIGRATION_BUSY';
  }
}

export interface Migration {
  version: number;
  name: string;
  sql: string;
  sha256: string;
}

export interface MigrateOptions {
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
  /** Version of the database afterwards; 0 when there is no migration at all. */
  version: number;
}

/** Key of the advisory lock; any constant that nobody else in this database uses ('sluice' in ASCII, cut to 48 bits). */
const migrationLockKey = 0x736c_7569_6365;
const fileNamePattern = /^(\d{4})-([a-z0-9-]+)\.sql$/;

export async function migrate(session: PostgresSession, options: MigrateOptions = {}): Promise<MigrateResult> {
  const migrations = readMigrations(options.folder ?? defaultFolder());
  if (!(await session.lock(migrationLockKey, options.lockWaitMs ?? 60_000))) {
    throw new MigrationError(
      'MIGRATION_BUSY',
      'Another process has been migrating this database for too long.',
      'Wait for it to end, or look for it in pg_stat_activity.',
    );
  }
  try {
    return await applyMissing(session, migrations, options.migrationTimeoutMs ?? 600_000);
  } finally {
    if (session.broken === undefined) await session.unlock(migrationLockKey);
  }
}

/** Files of the folder in order. Versions must be 1, 2, 3 … so that no file can be forgotten. */
export function readMigrations(folder: string): Migration[] {
  const migrations: Migration[] = [];
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith('.sql')) continue;
    const [, digits, name] = fileNamePattern.exec(file) ?? [];
    const version = Number(digits);
    if (name === undefined || version !== migrations.length + 1) {
      throw new MigrationError(
        'MIGRATIONS_UNREADABLE',
        `expected migration ${migrations.length + 1} as NNNN-name.sql in ${folder}, got ${file}`,
        'Number the files without gaps.',
      );
    }
    const sql = readFileSync(join(folder, file), 'utf8');
    migrations.push({ version, name, sql, sha256: createHash('sha256').update(sql).digest('hex') });
  }
  return migrations;
}

async function applyMissing(
  session: PostgresSession,
  migrations: readonly Migration[],
  timeoutMs: number,
): Promise<MigrateResult> {
  await session.query(`
    CREATE TABLE IF NOT EXISTS sluice_migrations (
      version int PRIMARY KEY,
      name text NOT NULL,
      sha256 text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`);
  const { rows } = await session.query<AppliedMigration>(
    'SELECT version, name, sha256 FROM sluice_migrations ORDER BY version',
  );
  checkApplied(rows, migrations);
  const applied: number[] = [];
  for (const migration of migrations.slice(rows.length)) {
    await apply(session, migration, timeoutMs);
    applied.push(migration.version);
  }
  return { applied, version: migrations.length };
}

interface AppliedMigration {
  version: number;
  name: string;
  sha256: string;
}

function checkApplied(applied: readonly AppliedMigration[], known: readonly Migration[]): void {
  const newest = applied.at(-1)?.version ?? 0;
  if (newest > known.length) {
    throw new MigrationError(
      'DATABASE_NEWER',
      `The database is at version ${newest}, this program knows up to ${known.length}: a newer Sluice has used it.`,
      'Start that newer Sluice again, or use another database.',
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

/** The file and its record commit together. A file must not contain transaction statements of its own. */
async function apply(session: PostgresSession, migration: Migration, timeoutMs: number): Promise<void> {
  const { version, name, sql, sha256 } = migration;
  await session.query(`BEGIN; SET LOCAL statement_timeout = ${timeoutMs}; SET LOCAL lock_timeout = ${timeoutMs}`);
  try {
    await session.query(sql, [], { timeoutMs: timeoutMs + 5_000 });
    await session.query('INSERT INTO sluice_migrations (version, name, sha256) VALUES ($1, $2, $3)', [
      version,
      name,
      sha256,
    ]);
    await session.query('COMMIT');
  } catch (error) {
    if (session.broken === undefined) await session.query('ROLLBACK');
    throw error;
  }
}

/** The compiler copies no SQL, so a built program reads the files of the source tree, which ships with it. */
function defaultFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let folder = here; ; folder = dirname(folder)) {
    const candidate = join(folder, 'actors', 'storage', 'migrations');
    if (existsSync(join(folder, 'package.json')) && existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) break;
  }
  throw new MigrationError(
    'MIGRATIONS_UNREADABLE',
    `The folder actors/storage/migrations was not found above ${here}.`,
    'Install Sluice again: a part of it is missing.',
  );
}
