// Where the embedded cluster and its socket live, and how a new cluster is made. Everything is inside the data folder
// when Postgres can get there; when its user cannot (a private parent folder, as root) or the path is too long for a
// socket, it is elsewhere and the data folder records where.
//
// Files in the data folder: `postgres/` the cluster, or `postgres.location` with the path of the cluster;
// `postgres.socket` with the path of the socket's folder when that is not the cluster; `postgres.lock`.

import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { EmbeddedPostgresError, tellsDiskFull, toFolderError } from './embedded-postgres-error.ts';
import { makeEnterable } from './postgres-binaries.ts';
import { type Cluster, initialiseCluster, type ProgramResult } from './postgres-process.ts';
import { canEnter, type OperatingSystemUser } from './postgres-user.ts';

export const superuser = 'sluice';
export const databaseName = 'sluice';
export const socketPort = 5432;

/** sun_path less its terminating zero. */
const socketPathBytesMax = process.platform === 'darwin' ? 103 : 107;
const settingsFile = 'sluice.conf';
/** Inside a cluster that is not in its data folder: which data folder it belongs to. */
const ownerFile = 'sluice-data-folder';

/** Creates the data folder if need be and answers its real path. As root others may pass through, not look around. */
export function openDataFolder(dataDir: string): string {
  try {
    const created = mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if (created !== undefined && process.getuid?.() === 0) {
      for (let each = dataDir; each.length >= created.length; each = dirname(each)) chmodSync(each, 0o711);
    }
    const probe = join(dataDir, `.writable.${process.pid}.${randomBytes(4).toString('hex')}`);
    writeFileSync(probe, 'x');
    rmSync(probe);
    return realpathSync(dataDir);
  } catch (error) {
    throw toFolderError(error, dataDir);
  }
}

/** Where this data folder's cluster is or will be; recorded before anything is put there. */
export function placeCluster(
  dataDir: string,
  sharedDirs: readonly string[],
  chooseUser: (clusterDir: string) => OperatingSystemUser | undefined,
): { dir: string; user: OperatingSystemUser | undefined } {
  const inside = join(dataDir, 'postgres');
  const recorded = readText(join(dataDir, 'postgres.location'));
  if (recorded !== '') {
    checkOwner(recorded, dataDir);
    return { dir: recorded, user: chooseUser(recorded) };
  }
  const user = chooseUser(inside);
  if (user === undefined || canEnter(user, dataDir)) return { dir: inside, user };
  if (existsSync(join(inside, 'PG_VERSION'))) {
    throw new EmbeddedPostgresError(
      'DATA_FOLDER_FOREIGN',
      `The database in ${inside} exists, but the user ${user.name} who runs it can no longer enter ${dataDir}.`,
      `Let others pass through ${dataDir} and the folders above it (chmod o+x), or run Sluice as the user who did before.`,
    );
  }
  const dir = chooseSharedPlace(dataDir, sharedDirs, user);
  writeDurably(join(dataDir, 'postgres.location'), `${dir}\n`);
  return { dir, user };
}

function chooseSharedPlace(dataDir: string, sharedDirs: readonly string[], user: OperatingSystemUser): string {
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  let failure: unknown;
  for (const sharedDir of sharedDirs) {
    const clusters = join(sharedDir, 'clusters');
    try {
      makeEnterable(clusters);
      if (lstatSync(sharedDir).uid !== process.getuid?.() || !canEnter(user, clusters)) continue;
      // One that is there belongs to a data folder of this name that was deleted: never bring its data back to life.
      const place = join(clusters, hash);
      return existsSync(place) ? `${place}-${randomBytes(4).toString('hex')}` : place;
    } catch (error) {
      failure = error;
    }
  }
  throw toFolderError(failure, sharedDirs.join(' or '));
}

/** A data folder that was copied must not run on the original's cluster; one that was moved takes its cluster along. */
function checkOwner(clusterDir: string, dataDir: string): void {
  const owner = readText(join(clusterDir, ownerFile));
  if (owner === '' || owner === dataDir) return;
  if (readText(join(owner, 'postgres.location')) === clusterDir) {
    throw new EmbeddedPostgresError(
      'DATA_FOLDER_FOREIGN',
      `${dataDir} is a copy of ${owner}: both point to the database in ${clusterDir}.`,
      `Delete ${join(dataDir, 'postgres.location')} to start with an empty database.`,
    );
  }
  writeDurably(join(clusterDir, ownerFile), `${dataDir}\n`);
}

/** Makes the cluster if there is none yet, under a temporary name first, so that half of one is never used. */
export async function ensureCluster(cluster: Cluster, dataDir: string): Promise<boolean> {
  const { dir, user, binaries } = cluster;
  const found = readText(join(dir, 'PG_VERSION'));
  if (found !== '') {
    if (Number.parseInt(found, 10) !== binaries.major) {
      throw new EmbeddedPostgresError(
        'VERSION_MISMATCH',
        `The database in ${dir} is of PostgreSQL ${found}, this program brings PostgreSQL ${binaries.major}.`,
        `Upgrade it with pg_upgrade, use the Sluice version that made it, or move ${dir} away to start empty.`,
      );
    }
    takeOver(dir, user);
    return false;
  }
  removeUnfinished(dir);
  const temporary = `${dir}.new-${process.pid}`;
  try {
    mkdirSync(temporary, { mode: 0o700 });
    if (user !== undefined) chownSync(temporary, user.uid, user.gid);
    const result = await initialiseCluster({ ...cluster, dir: temporary }, superuser);
    if (result.exitCode !== 0) throw initialisationError(result, cluster);
    // The socket is the only way in, and only its folder's owner gets there: no passwords to lose.
    writeFileSync(join(temporary, 'pg_hba.conf'), 'local all all trust\n');
    appendFileSync(join(temporary, 'postgresql.conf'), `\ninclude_if_exists = '${settingsFile}'\n`);
    if (dirname(dir) !== dataDir) writeOwned(join(temporary, ownerFile), `${dataDir}\n`, user);
    renameSync(temporary, dir);
    syncFolder(dirname(dir));
    return true;
  } catch (error) {
    throw toFolderError(error, dir);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Writes our settings; true when they differ from what was there. */
export function writeSettings(cluster: Cluster, text: string): boolean {
  const path = join(cluster.dir, settingsFile);
  if (readText(path) === text.trim()) return false;
  try {
    writeOwned(path, text, cluster.user);
  } catch (error) {
    throw toFolderError(error, path);
  }
  return true;
}

/** The cluster itself is private already and the best place for the socket, unless its path is too long. */
export function chooseSocketDir(cluster: Cluster, dataDir: string): string {
  if (fitsSocket(cluster.dir)) return cluster.dir;
  const record = join(dataDir, 'postgres.socket');
  const uid = cluster.user?.uid ?? process.getuid?.() ?? 0;
  const recorded = readText(record);
  const known = recorded === '' ? undefined : lstatSync(recorded, { throwIfNoEntry: false });
  if (known?.isDirectory() && known.uid === uid && (known.mode & 0o077) === 0) return recorded;
  for (const parent of [tmpdir(), '/tmp', '/var/tmp']) {
    if (!canEnter(cluster.user, parent) || !fitsSocket(join(parent, 'sluice-XXXXXX'))) continue;
    const dir = mkdtempSync(join(parent, 'sluice-'));
    if (cluster.user !== undefined) chownSync(dir, cluster.user.uid, cluster.user.gid);
    writeDurably(record, `${dir}\n`);
    return dir;
  }
  throw new EmbeddedPostgresError(
    'DATA_FOLDER_NOT_WRITABLE',
    `The path ${cluster.dir} is too long for a unix socket, and no short temporary folder could be made.`,
    'Set SLUICE_DATA_DIR to a folder with a shorter path.',
  );
}

/** Removes the socket's folder if it was made for nothing else. */
export function removeSocketDir(socketDir: string, cluster: Cluster, dataDir: string): void {
  if (socketDir === cluster.dir) return;
  rmSync(socketDir, { recursive: true, force: true });
  rmSync(join(dataDir, 'postgres.socket'), { force: true });
}

function fitsSocket(dir: string): boolean {
  return Buffer.byteLength(join(dir, `.s.PGSQL.${socketPort}`)) <= socketPathBytesMax;
}

/** A cluster of another user is refused; one that root owns (restored from a backup, say) is given to Postgres. */
function takeOver(dir: string, user: OperatingSystemUser | undefined): void {
  const { uid } = statSync(dir);
  const wanted = user?.uid ?? process.getuid?.() ?? uid;
  if (uid === wanted) return;
  if (user === undefined) {
    throw new EmbeddedPostgresError(
      'DATA_FOLDER_FOREIGN',
      `The database in ${dir} belongs to the operating-system user ${uid}, not to the one running Sluice (${wanted}).`,
      'Run Sluice as that user, or give the folder to this one (chown -R).',
    );
  }
  giveTo(dir, user);
}

function giveTo(path: string, user: OperatingSystemUser): void {
  lchownSync(path, user.uid, user.gid);
  if (!lstatSync(path).isDirectory()) return;
  for (const name of readdirSync(path)) giveTo(join(path, name), user);
}

/** What a start that was killed left behind. The caller holds the data folder's lock. */
function removeUnfinished(dir: string): void {
  const prefix = `${basename(dir)}.new-`;
  for (const name of readdirSync(dirname(dir))) {
    if (name.startsWith(prefix)) rmSync(join(dirname(dir), name), { recursive: true, force: true });
  }
}

function initialisationError(result: ProgramResult, cluster: Cluster): EmbeddedPostgresError {
  const reason = result.output.trim().split('\n').at(-1) ?? '';
  if (result.exitCode === null || result.output.includes('error while loading shared libraries')) {
    return new EmbeddedPostgresError(
      'PLATFORM_UNSUPPORTED',
      `The PostgreSQL binaries in ${cluster.binaries.nativeDir} do not run on this system (${reason}).`,
      'Use a Linux with glibc or macOS, or set SLUICE_POSTGRES_URL to a PostgreSQL server of yours.',
    );
  }
  if (tellsDiskFull(result.output)) {
    return new EmbeddedPostgresError('DISK_FULL', `The disk of ${cluster.dir} is full.`, 'Free space on it.');
  }
  const lines = result.output.trim().split('\n').slice(-6).join(' | ');
  return new EmbeddedPostgresError(
    'START_FAILED',
    `PostgreSQL could not initialise ${cluster.dir}: ${lines}`,
    'Resolve what it says, or set SLUICE_POSTGRES_URL to a PostgreSQL server of yours.',
  );
}

/** Replaced in one step, and readable by the user who runs Postgres. */
function writeOwned(path: string, text: string, user: OperatingSystemUser | undefined): void {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
  if (user !== undefined) chownSync(temporary, user.uid, user.gid);
  renameSync(temporary, path);
}

function writeDurably(path: string, text: string): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o644);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
