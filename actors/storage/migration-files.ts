// The numbered SQL files beside this one: `NNNN-name.sql` brings the database one step forward, `NNNN-name.down.sql`
// takes that step back. Read whole and checked before anything is run, so that half a set never touches a database.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MigrationError } from './migration-error.ts';

export interface Migration {
  version: number;
  name: string;
  sql: string;
  /** Undefined: there is no way back over this step. */
  downSql: string | undefined;
  /** Of both files: neither may change once a database has seen them. */
  sha256: string;
}

const forwardPattern = /^(\d{4})-([a-z0-9-]+)\.sql$/;
const backwardPattern = /^(\d{4}-[a-z0-9-]+)\.down\.sql$/;

/** In order. Numbers may have gaps, because several are reserved while several people work; none is used twice. */
export function readMigrations(folder = defaultFolder()): Migration[] {
  const migrations: Migration[] = [];
  const files = readdirSync(folder).filter((file) => file.endsWith('.sql'));
  for (const file of files.sort()) {
    const [, forward] = backwardPattern.exec(file) ?? [];
    if (forward !== undefined) {
      if (!files.includes(`${forward}.sql`)) throw unreadable(`${forward}.sql, because ${file} is there`, folder);
      continue;
    }
    const [, digits, name] = forwardPattern.exec(file) ?? [];
    const version = Number(digits);
    const last = migrations.at(-1)?.version ?? 0;
    if (name === undefined || version <= last) throw unreadable(`NNNN-name.sql with a number of its own`, folder, file);
    const sql = readFileSync(join(folder, file), 'utf8');
    const down = `${file.slice(0, -'.sql'.length)}.down.sql`;
    const downSql = files.includes(down) ? readFileSync(join(folder, down), 'utf8') : undefined;
    const sha256 = createHash('sha256')
      .update(sql)
      .update(downSql ?? '')
      .digest('hex');
    migrations.push({ version, name, sql, downSql, sha256 });
  }
  return migrations;
}

function unreadable(expected: string, folder: string, got?: string): MigrationError {
  return new MigrationError(
    'MIGRATIONS_UNREADABLE',
    `expected ${expected} in ${folder}${got === undefined ? '' : `, got ${got}`}`,
    'Install Sluice again, or number the files anew.',
  );
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
