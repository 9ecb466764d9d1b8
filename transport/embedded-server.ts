// The running side of the embedded PostgreSQL: adopts or starts the server of a prepared cluster, looks after it and
// stops it.
//
// States: down -> starting -> ready -> (lost -> starting -> ready)* -> stopped | released. `lost` is noticed by a look
// at the process once a second; sessions notice it earlier and reconnect on their own.

import { renameSync } from 'node:fs';
import { lockDataFolder } from './data-folder-lock.ts';
import { EmbeddedPostgresError, tellsDiskFull } from './embedded-postgres-error.ts';
import type { PostgresAddress } from './postgres.ts';
import {
  chooseSocketDir,
  databaseName,
  removeSocketDir,
  socketPort,
  superuser,
  writeSettings,
} from './postgres-cluster.ts';
import { answers, ensureDatabase, hasSocket } from './postgres-probe.ts';
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
import { measureMachine, type PostgresSettings, settingsFor, settingsText } from './postgres-settings.ts';
import { isAlive, type ProcessLock } from './process-lock.ts';

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
  /** Lets go of the data folder and leaves the server running; `stop` does nothing afterwards. */
  release(): void;
}

const defaultStartTimeoutMs = 600_000;
const defaultStopTimeoutMs = 20_000;
const immediateStopTimeoutMs = 10_000;
const progressMs = 5_000;
const watchMs = 1_000;
const logBytesMax = 10 * 1024 * 1024;

export class EmbeddedServer implements EmbeddedPostgres {
  readonly port = socketPort;
  readonly user = superuser;
  readonly database = databaseName;
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
  /** Held while we own the folder; where it is shared, only while we start the server. */
  #lock: ProcessLock | undefined;
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
    if (this.#options.restartWhenLost === false) return;
    this.#watch = setInterval(() => this.#restartIfLost(), watchMs);
  }

  ensureRunning(): Promise<void> {
    if (this.#stopping !== undefined) return this.#stopping;
    this.#starting ??= this.#adoptOrStartLocked().finally(() => {
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
    this.#lock?.release();
  }

  #restartIfLost(): void {
    if (this.#starting !== undefined || this.#stopping !== undefined || isAlive(this.pid)) return;
    this.#options.log.error({ pid: this.pid }, 'PostgreSQL is gone, starting it again');
    this.ensureRunning().then(
      () => this.#options.log.info({ pid: this.pid }, 'PostgreSQL runs again'),
      (error: unknown) => this.#options.log.error({ error: String(error) }, 'PostgreSQL could not be started again'),
    );
  }

  async #adoptOrStartLocked(): Promise<void> {
    const sharing = this.#options.sharing ?? 'exclusive';
    this.#lock ??= await lockDataFolder(this.#dataDir, sharing);
    try {
      await this.#adoptOrStart();
      this.version = await ensureDatabase(this.socketDir);
    } finally {
      if (sharing === 'shared') {
        this.#lock.release();
        this.#lock = undefined;
      }
    }
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
    const settings = { ...settingsFor(measureMachine(this.#cluster.dir)), ...this.#options.settings };
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
    this.#lock?.release();
  }
}

function startError(cluster: Cluster, lines: readonly string[], output: string): EmbeddedPostgresError {
  const fatal = lines.findLast((line) => /\b(FATAL|PANIC):/.test(line)) ?? lines.at(-1) ?? output;
  if (tellsDiskFull(lines.join('\n'))) {
    return new EmbeddedPostgresError('DISK_FULL', `The disk of ${cluster.dir} is full.`, 'Free space on it.');
  }
  return new EmbeddedPostgresError(
    'START_FAILED',
    `PostgreSQL did not start on ${cluster.dir}: ${fatal.trim()}`,
    `Read ${serverLogOf(cluster.dir)} for the whole story.`,
  );
}
