// Real PostgreSQL for tests: one embedded server per checkout, shared by every test process, and a database of its own
// for each test, cloned from a migrated template. SLUICE_TEST_POSTGRES_URL names another server in its place, of whatever
// version, by a role that may create databases. The shared server runs with fsync off, which only a server whose
// data nobody wants may do; tests that kill PostgreSQL or look at durability start one of their own.

import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { migrate } from '../../actors/storage/migrate.ts';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresLog,
  type EmbeddedPostgresOptions,
  openPostgres,
  type Postgres,
  type PostgresAddress,
  PostgresError,
  type PostgresOptions,
  startEmbeddedPostgres,
} from '../../transport/index.ts';
import { findPostmaster } from '../../transport/postgres-process.ts';
import { isAlive } from '../../transport/process-lock.ts';
import { repositoryRoot } from './repository.ts';

/** What this file needs of a test. */
export interface TestScope {
  after(work: () => void | Promise<void>): void;
}

export interface TestDatabase {
  address: PostgresAddress;
  /** Only when the address is to be handed to a program as SLUICE_POSTGRES_URL. */
  url: string;
  name: string;
  /** A pool on this database, closed before it is dropped. Sessions of one's own are one's own to close. */
  open(options?: Partial<PostgresOptions>): Postgres;
  /** Runs before the database is dropped, latest first: stop here whatever holds sessions. */
  beforeDrop(work: () => void | Promise<void>): void;
}

export const silentLog: EmbeddedPostgresLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

const temporaryPrefix = 'sluice-test-';
const templateLockKey = 0x7465_7374;
const templatePrefix = 'template_sluice_';

/** One folder per checkout and user, short enough for a socket, outside the checkout so that builds do not touch it. */
export function sharedServerFolder(): string {
  const checkout = createHash('sha256').update(repositoryRoot()).digest('hex').slice(0, 8);
  return join(tmpdir(), `sluice-tests-${process.getuid?.() ?? 0}-${checkout}`);
}

export const sharedServerSettings = {
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: 200,
  shared_buffers: '128MB',
  max_wal_size: '512MB',
  min_wal_size: '80MB',
};

const temporaryFolders = new Set<string>();
let sharedServer: Promise<SharedServer> | undefined;

/** Where tests get their databases. */
interface SharedServer {
  address(database: string): PostgresAddress;
  url(database: string): string;
}

/** A database with all migrations applied (`empty`: with none), dropped after the test; leaked sessions fail it. */
export async function testDatabase(t: TestScope, options: { empty?: boolean } = {}): Promise<TestDatabase> {
  const foreign = process.env.SLUICE_TEST_POSTGRES_URL ?? '';
  sharedServer ??= foreign === '' ? startSharedServer() : Promise.resolve(foreignServer(foreign));
  const server = await sharedServer;
  const admin = openPostgres({ address: server.address('postgres'), applicationName: 'test set-up', poolMax: 1 });
  const name = `test_${process.pid}_${randomBytes(4).toString('hex')}`;
  const template = options.empty === true ? 'template0' : await ensureTemplate(server, admin);
  await createDatabase(admin, name, template);

  const address = server.address(name);
  const cleanups: (() => void | Promise<void>)[] = [];
  t.after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
    try {
      await dropDatabase(admin, name);
    } finally {
      await admin.close();
    }
  });
  return {
    address,
    url: server.url(name),
    name,
    open: (postgresOptions = {}) => {
      const postgres = openPostgres({ address, applicationName: 'test', ...postgresOptions });
      cleanups.push(() => postgres.close());
      return postgres;
    },
    beforeDrop: (work) => {
      cleanups.push(work);
    },
  };
}

/** Copying the files of a small template is much cheaper than logging it; servers before 15 do nothing else. */
async function createDatabase(admin: Postgres, name: string, template: string): Promise<void> {
  const { rows } = await admin.query<{ major: number }>(
    "SELECT current_setting('server_version_num')::int / 10000 AS major",
  );
  const strategy = (rows[0]?.major ?? 0) >= 15 ? 'STRATEGY file_copy' : '';
  await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template} ${strategy}`);
}

function foreignServer(text: string): SharedServer {
  const url = (database: string): string => Object.assign(new URL(text), { pathname: `/${database}` }).href;
  return { url, address: (database) => ({ url: url(database) }) };
}

/** A server of the test's own, with fsync on, in a folder of its own: kill it, stop it, start it again. */
export async function startTestServer(
  t: TestScope,
  options: Partial<EmbeddedPostgresOptions> = {},
): Promise<EmbeddedPostgres> {
  const dataDir = options.dataDir ?? temporaryFolder();
  const settings = { shared_buffers: '64MB', max_wal_size: '512MB', ...options.settings };
  const server = await startEmbeddedPostgres({ log: silentLog, ...options, dataDir, settings });
  t.after(() => server.stop());
  return server;
}

/**
 * A folder every user may pass through, so that a server started by root finds its cluster. Removed when the process
 * ends, because what still uses it is stopped by hooks that run after the one that made it.
 */
export function temporaryFolder(mode = 0o711): string {
  const folder = mkdtempSync(join(tmpdir(), `${temporaryPrefix}${process.pid}-`));
  chmodSync(folder, mode);
  if (temporaryFolders.size === 0) {
    removeAbandoned();
    process.once('exit', () => {
      for (const each of temporaryFolders) rmSync(each, { recursive: true, force: true });
    });
  }
  temporaryFolders.add(folder);
  return folder;
}

/** Servers and folders of test processes that were killed before they could clean up. */
function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = Number.parseInt(name.slice(temporaryPrefix.length), 10);
    if (!name.startsWith(temporaryPrefix) || !Number.isSafeInteger(owner) || isAlive(owner)) continue;
    const folder = join(tmpdir(), name);
    if (statSync(folder, { throwIfNoEntry: false })?.uid !== process.getuid?.()) continue;
    const postmaster = findPostmaster(join(folder, 'postgres'));
    // SIGQUIT is Postgres's immediate shutdown: nobody wants this data.
    if (postmaster !== undefined) process.kill(postmaster.pid, 'SIGQUIT');
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Process ids of the test processes that use the shared server; the reaper stops it when none is left. */
export function sharedServerUsers(): string {
  return join(sharedServerFolder(), 'users');
}

async function startSharedServer(): Promise<SharedServer> {
  const dataDir = sharedServerFolder();
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  chmodSync(dataDir, 0o711);
  mkdirSync(sharedServerUsers(), { recursive: true });
  const users = process.env.NODE_TEST_CONTEXT === undefined ? [process.pid] : [process.pid, process.ppid];
  for (const user of users) writeFileSync(join(sharedServerUsers(), String(user)), '');
  const server = await startEmbeddedPostgres({
    dataDir,
    log: silentLog,
    sharing: 'shared',
    settings: sharedServerSettings,
    restartWhenLost: false,
  });
  const reaper = fileURLToPath(new URL('./database-reaper.js', import.meta.url));
  spawn(process.execPath, [reaper], { cwd: '/', detached: true, stdio: 'ignore' }).unref();
  const { socketDir, port, user } = server;
  return {
    address: (database) => ({ socketDir, port, user, database }),
    url: (database) => `postgres://${user}@/${database}?host=${encodeURIComponent(socketDir)}&port=${port}`,
  };
}

/** Named after its content, so that a changed migration gets a new one. */
async function ensureTemplate(server: SharedServer, admin: Postgres): Promise<string> {
  const folder = join(repositoryRoot(), 'actors', 'storage', 'migrations');
  const content = createHash('sha256');
  for (const file of readdirSync(folder).sort()) content.update(file).update(readFileSync(join(folder, file)));
  const template = `${templatePrefix}${content.digest('hex').slice(0, 12)}`;
  return admin.withSession(async (session) => {
    if (await exists(session, template)) return template;
    if (!(await session.lock(templateLockKey, 60_000))) throw new Error('expected the template lock within a minute');
    try {
      if (await exists(session, template)) return template;
      const unfinished = `${template}_new`;
      await session.query(`DROP DATABASE IF EXISTS ${unfinished} WITH (FORCE)`);
      await session.query(`CREATE DATABASE ${unfinished} TEMPLATE template0`);
      await migrateDatabase(server.address(unfinished));
      await session.query(`ALTER DATABASE ${unfinished} RENAME TO ${template}`);
      return template;
    } finally {
      await session.unlock(templateLockKey);
    }
  });
}

async function exists(admin: Pick<Postgres, 'query'>, database: string): Promise<boolean> {
  return (await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [database])).rowCount > 0;
}

async function migrateDatabase(address: PostgresAddress): Promise<void> {
  const postgres = openPostgres({ address, applicationName: 'test template', poolMax: 1 });
  const session = await postgres.session();
  try {
    await migrate(session);
  } finally {
    await session.close();
    await postgres.close();
  }
}

/** Postgres itself waits some seconds for sessions that are ending; one that stays after that was leaked. */
async function dropDatabase(admin: Postgres, name: string): Promise<void> {
  try {
    await admin.query(`DROP DATABASE ${name}`);
  } catch (error) {
    if (!(error instanceof PostgresError) || error.sqlState !== '55006') throw error;
    const { rows } = await admin.query<{ application_name: string; state: string; query: string }>(
      'SELECT application_name, state, query FROM pg_stat_activity WHERE datname = $1',
      [name],
    );
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    const sessions = rows.map((row) => `${row.application_name} (${row.state}): ${row.query}`).join('; ');
    throw new Error(`expected every session of the test to be closed, got ${sessions}`);
  }
}
