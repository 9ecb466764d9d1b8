// A PostgreSQL of our own, for everybody who does not bring one: initialised in the data folder, reachable by a unix
// socket only, started and stopped by its own pg_ctl, and adopted when it still runs after we were killed.
//
// States: down -> starting -> ready -> (lost -> starting -> ready)* -> stopped. `lost` is noticed by a look at the
// process once a second; sessions notice it earlier and reconnect on their own.

import { existsSync, renameSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { EmbeddedPostgresError, toFolderError } from './embedded-postgres-error.ts';
import { openPostgres, type Postgres, type PostgresAddress, PostgresError } from './postgres.ts';
import { preparePostgresBinaries } from './postgres-binaries.ts';
import {
  chooseSocketDir,
  ensureCluster,
  openDataFolder,
  placeCluster,
  removeSocketDir,
  socketPort,
  superuser,
  writeSettings,
} from './postgres-cluster.ts';
import {
  type Cluster,
  disarmStaleLocks,
  findPostmaster,
  type Postmaster,
  serverLogBytes,
  serverLogOf,
  serverLogSince,
  startServer,
  stopServer,
  waitUntil,
} from './postgres-process.ts';
import { type PostgresSettings, settingsFor, settingsText } from './postgres-settings.ts';
import { choosePostgresUser } from './postgres-user.ts';
import { holderOf, isAlive, type ProcessLock, tryLock } from './process-lock.ts';

export { type EmbeddedPostgresCode, EmbeddedPostgresError } from './embedded-postgres-error.ts';

export interface EmbeddedPostgresLog {
  info(fields: Record<string, unknown>, text: string): void;
  warn(fields: Record<string, unknown>, text: string): void;
  error(fields: Record<string, unknown>, text: string): void;
}

export interface EmbeddedPostgresOptions {
  dataDir: string;
  log: EmbeddedPostgresLog;
  /**
   * exclusive (default): the data folder is ours until `stop` or `release`; a second start fails.
   * shared: any number of processes may use the server; whoever comes first starts it.
   */
  sharing?: 'exclusive' | 'shared';
  /** In place of, or beyond, the settings for this machine. */
  settings?: PostgresSettings;
  /** Includes crash recovery. Default 600,000. */
  startTimeoutMs?: number;
  /** An orderly stop; afterwards the server is cut short, which costs a recovery at the next start. Default 20,000. */
  stopTimeoutMs?: number;
  /** Start the server again when it is lost. Default true. */
  restartWhenLost?: boolean;
  /** Folders outside the data folder for what Postgres cannot reach inside it, best first. */
  sharedDirs?: readonly string[];
  /** In place of the platform package's folder of binaries. */
  nativeDir?: string;
  /** In place of /etc/passwd. */
  passwdFile?: string;
}

export interface EmbeddedPostgres {
  /** For openPostgres, in any thread. */
  readonly address: PostgresAddress;
  readonly socketDir: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  /** Where the data truly is: the data folder's own path, unless Postgres could not reach it. */
  readonly dataDirectory: string;
  /** Operating-system user that runs the server; undefined when that is ourselves. */
  readonly operatingSystemUser: string | undefined;
  readonly version: string;
  /** The server was running already. */
  readonly adopted: boolean;
  /** A new cluster was made. */
  readonly initialised: boolean;
  readonly logFile: string;
  /** Process id of the postmaster, as of now. */
  readonly pid: number;
  /** Starts the server if it is not running. */
  ensureRunning(): Promise<void>;
  stop(): Promise<void>;
  /** Lets go of the data folder and leaves the server running. */
  release(): void;
}

const database = 'sluice';
const defaultStartTimeoutMs = 600_000;
const defaultStopTimeoutMs = 20_000;
const immediateStopTimeoutMs = 10_000;
const progressMs = 5_000;
const watchMs = 1_000;
const lockPollMs = 600_000;
const logBytesMax = 10 * 1024 * 1024;

export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  if (process.platform === 'win32') {
    throw new EmbeddedPostgresError(
      'PLATFORM_UNSUPPORTED',
      'The embedded PostgreSQL runs on Linux and macOS only.',
      'Set SLUICE_POSTGRES_URL to a PostgreSQL server of yours.',
    );
  }
  const dataDir = openDataFolder(options.dataDir);
  const lock = await lockDataFolder(dataDir, options.sharing ?? 'exclusive');
  try {
    const sharedDirs = options.sharedDirs ?? ['/var/lib/sluice', `/var/tmp/sluice-${process.getuid?.() ?? 0}`];
    const { dir, user } = placeCluster(dataDir, sharedDirs, (clusterDir) =>
      choosePostgresUser(clusterDir, options.passwdFile),
    );
    const nativeDir = options.nativeDir;
    const binaries = preparePostgresBinaries({ user, sharedDirs, ...(nativeDir === undefined ? {} : { nativeDir }) });
    const cluster: Cluster = { dir, user, binaries };
    const initialised = await ensureCluster(cluster, dataDir);
    const server = new EmbeddedServer(cluster, dataDir, options, lock, initialised);
    await server.bringUp();
    if (options.sharing === 'shared') lock.release();
    return server;
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** In a shared folder the lock covers the start only, so it is worth waiting for. */
async function lockDataFolder(dataDir: string, sharing: 'exclusive' | 'shared'): Promise<ProcessLock> {
  const path = join(dataDir, 'postgres.lock');
  try {
    let lock = tryLock(path);
    if (lock === undefined && sharing === 'shared') {
      await waitUntil(() => {
        lock = tryLock(path);
        return lock !== undefined;
      }, lockPollMs);
    }
    if (lock !== undefined) return lock;
  } catch (error) {
    throw toFolderError(error, path);
  }
  throw new EmbeddedPostgresError(
    'DATA_FOLDER_IN_USE',
    `The data folder ${dataDir} is in use by another Sluice (process ${holderOf(path) ?? 'unknown'}).`,
    'Stop that one first, or set SLUICE_DATA_DIR to another folder.',
  );
}

class EmbeddedServer implements EmbeddedPostgres {
  readonly port = socketPort;
  readonly user = superuser;
  readonly database = database;
  readonly dataDirectory: string;
  readonly operatingSystemUser: string | undefined;
  readonly initialised: boolean;
  readonly logFile: string;
  socketDir = '';
  version = '';
  adopted = false;
  pid = 0;
  readonly #cluster: Cluster;
  readonly #dataDir: string;
  readonly #options: EmbeddedPostgresOptions;
  readonly #lock: ProcessLock;
  readonly #startTimeoutMs: number;
  #watch: NodeJS.Timeout | undefined;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(
    cluster: Cluster,
    dataDir: string,
    options: EmbeddedPostgresOptions,
    lock: ProcessLock,
    initialised: boolean,
  ) {
    this.#cluster = cluster;
    this.#dataDir = dataDir;
    this.#options = options;
    this.#lock = lock;
    this.#startTimeoutMs = options.startTimeoutMs ?? defaultStartTimeoutMs;
    this.initialised = initialised;
    this.dataDirectory = cluster.dir;
    this.operatingSystemUser = cluster.user?.name;
    this.logFile = serverLogOf(cluster.dir);
  }

  get address(): PostgresAddress {
    return { socketDir: this.socketDir, port: this.port, user: this.user, database: this.database };
  }

  async bringUp(): Promise<void> {
    await this.ensureRunning();
    this.version = await ensureDatabase(this.socketDir);
    if (this.#options.restartWhenLost === false) return;
    this.#watch = setInterval(() => this.#restartIfLost(), watchMs);
  }

  ensureRunning(): Promise<void> {
    if (this.#stopping !== undefined) return this.#stopping;
    this.#starting ??= this.#adoptOrStart().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  release(): void {
    clearInterval(this.#watch);
    this.#stopping ??= Promise.resolve();
    this.#lock.release();
  }

  #restartIfLost(): void {
    if (this.#starting !== undefined || this.#stopping !== undefined || isAlive(this.pid)) return;
    this.#options.log.error({ pid: this.pid }, 'PostgreSQL is gone, starting it again');
    this.ensureRunning().then(
      () => this.#options.log.info({ pid: this.pid }, 'PostgreSQL runs again'),
      (error: unknown) => this.#options.log.error({ error: String(error) }, 'PostgreSQL could not be started again'),
    );
  }

  async #adoptOrStart(): Promise<void> {
    const { dir } = this.#cluster;
    const beganAt = Date.now();
    const running = findPostmaster(dir);
    if (running !== undefined && (await this.#adopt(running))) return;
    this.socketDir = chooseSocketDir(this.#cluster, this.#dataDir);
    this.#writeSettings();
    this.#rotateLog();
    for (;;) {
      disarmStaleLocks(dir, this.socketDir, this.port);
      const logOffset = serverLogBytes(dir);
      const restMs = this.#startTimeoutMs - (Date.now() - beganAt);
      const tell = setInterval(() => this.#tellProgress(logOffset), progressMs);
      const result = await startServer(this.#cluster, restMs);
      clearInterval(tell);
      const postmaster = findPostmaster(dir);
      if (result.exitCode === 0 && postmaster !== undefined) {
        this.pid = postmaster.pid;
        this.adopted = false;
        return;
      }
      const lines = serverLogSince(dir, logOffset);
      // Processes of a lost server notice within moments that it is gone; until then the cluster is theirs.
      const lingering = lines.some((line) => line.includes('pre-existing shared memory block'));
      if (!lingering || restMs <= 0) throw startError(this.#cluster, lines, result.output);
      await waitUntil(() => false, 100);
    }
  }

  /** False when the server that runs here is of no use and was stopped, or is gone. */
  async #adopt(running: Postmaster): Promise<boolean> {
    const { dir } = this.#cluster;
    const logOffset = serverLogBytes(dir);
    // It may be starting, recovering, stopping or dying this very moment: only an answer proves that it serves.
    const settled = async (): Promise<boolean> => {
      const now = findPostmaster(dir);
      return now === undefined || (now.status === 'ready' && (!hasSocket(now) || (await answers(now))));
    };
    if (!(await waitUntil(settled, this.#startTimeoutMs, progressMs, () => this.#tellProgress(logOffset)))) {
      throw startError(this.#cluster, serverLogSince(dir, logOffset), 'it did not become ready in time');
    }
    const ready = findPostmaster(dir);
    if (ready === undefined) return false;
    if (!hasSocket(ready) || ready.port !== this.port) {
      // Its socket was cleaned away, so nobody can reach it any more.
      this.#options.log.warn({ pid: running.pid }, 'PostgreSQL runs without its socket, restarting it');
      await stopServer(this.#cluster, 'fast', this.#options.stopTimeoutMs ?? defaultStopTimeoutMs);
      return false;
    }
    this.pid = ready.pid;
    this.socketDir = ready.socketDir;
    this.adopted = true;
    if (this.#writeSettings()) process.kill(ready.pid, 'SIGHUP');
    this.#options.log.info({ pid: ready.pid, dataDirectory: dir }, 'adopted the PostgreSQL that was still running');
    return true;
  }

  #writeSettings(): boolean {
    const settings = { ...settingsFor({ memoryBytes: totalmem() }), ...this.#options.settings };
    return writeSettings(this.#cluster, settingsText(settings, this.socketDir, this.port));
  }

  #tellProgress(logOffset: number): void {
    const last = serverLogSince(this.#cluster.dir, logOffset).at(-1) ?? '';
    this.#options.log.info({ last }, 'PostgreSQL is still starting (after a crash it replays its log first)');
  }

  #rotateLog(): void {
    if (serverLogBytes(this.#cluster.dir) > logBytesMax) renameSync(this.logFile, `${this.logFile}.1`);
  }

  async #stop(): Promise<void> {
    clearInterval(this.#watch);
    // A restart under way ends first, so that there is one thing to stop.
    await this.#starting?.catch(() => undefined);
    const { dir } = this.#cluster;
    if (findPostmaster(dir) !== undefined) {
      await stopServer(this.#cluster, 'fast', this.#options.stopTimeoutMs ?? defaultStopTimeoutMs);
    }
    if (findPostmaster(dir) !== undefined) {
      this.#options.log.warn({ pid: this.pid }, 'PostgreSQL did not stop in time, cutting it short');
      await stopServer(this.#cluster, 'immediate', immediateStopTimeoutMs);
    }
    if (findPostmaster(dir) !== undefined) {
      throw new EmbeddedPostgresError(
        'STOP_FAILED',
        `PostgreSQL (process ${this.pid}) does not stop.`,
        `Read ${this.logFile}; the next start adopts the server if it still runs.`,
      );
    }
    removeSocketDir(this.socketDir, this.#cluster, this.#dataDir);
    this.#lock.release();
  }
}

function hasSocket(postmaster: Postmaster): boolean {
  return existsSync(join(postmaster.socketDir, `.s.PGSQL.${postmaster.port}`));
}

async function answers(postmaster: Postmaster): Promise<boolean> {
  try {
    await serverVersion(openDatabase(postmaster.socketDir, 'postgres'));
    return true;
  } catch (error) {
    if (error instanceof PostgresError && error.retryable) return false;
    throw error;
  }
}

/** Creates our database in a new cluster; answers the server's version. */
async function ensureDatabase(socketDir: string): Promise<string> {
  try {
    return await serverVersion(openDatabase(socketDir, database));
  } catch (error) {
    if (!(error instanceof PostgresError) || error.sqlState !== '3D000') throw error;
  }
  const session = await openDatabase(socketDir, 'postgres').session();
  try {
    await session.query(`CREATE DATABASE ${database}`);
  } finally {
    await session.close();
  }
  return serverVersion(openDatabase(socketDir, database));
}

function openDatabase(socketDir: string, name: string): Postgres {
  const address = { socketDir, port: socketPort, user: superuser, database: name };
  return openPostgres({ address, applicationName: 'sluice start' });
}

async function serverVersion(postgres: Postgres): Promise<string> {
  const session = await postgres.session();
  try {
    const { rows } = await session.query<{ server_version: string }>('SHOW server_version');
    return rows[0]?.server_version ?? '';
  } finally {
    await session.close();
  }
}

function startError(cluster: Cluster, lines: readonly string[], output: string): EmbeddedPostgresError {
  const fatal = lines.findLast((line) => /\b(FATAL|PANIC):/.test(line)) ?? lines.at(-1) ?? output;
  if (lines.some((line) => line.includes('No space left on device'))) {
    return new EmbeddedPostgresError('DISK_FULL', `The disk of ${cluster.dir} is full.`, 'Free space on it.');
  }
  return new EmbeddedPostgresError(
    'START_FAILED',
    `PostgreSQL did not start on ${cluster.dir}: ${fatal.trim()}`,
    `Read ${serverLogOf(cluster.dir)} for the whole story.`,
  );
}
