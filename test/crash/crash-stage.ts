// Where one crash after the other is played: a PostgreSQL of its own, a database, destinations, a load and the light
// process that stands between them. A stage goes on through many crashes, as a real data folder does; what it has seen
// is checked as a whole each time. After a fault, or when it has grown long, it is struck and a new one is set.

import type { EmbeddedPostgres, Postgres } from '../../transport/index.ts';
import { openPostgres, PostgresError } from '../../transport/index.ts';
import type { CleanupList } from '../support/cleanup.ts';
import { type FakeDestination, startDestination } from '../support/fake-destination.ts';
import { pollUntil } from '../support/poll.ts';
import { type DiskState, judgeQuiet, readDisk } from './crash-judge.ts';
import { answerOf, CrashLoad, crashWorkspace } from './crash-load.ts';
import type { CrashOrder } from './crash-seam.ts';
import { LightProcess } from './light-client.ts';

/** Answers of one user in a round that is not cut short. */
const requestsMax = 60;
/** New acknowledgements between two troubles. */
const troubleEvery = 25;
const judgeAttemptsMax = 20;
const startsMax = 5;
const undefinedTable = '42P01';

export interface StageOptions {
  server: EmbeddedPostgres;
  /** Made for this stage. */
  database: string;
  lightProcessPath: string;
  cleanup: CleanupList;
}

export class CrashStage {
  readonly load = new CrashLoad();
  readonly destination: FakeDestination;
  readonly #options: StageOptions;
  readonly #postgres: Postgres;
  #process: LightProcess | undefined;
  /** Shares the database with the process for a while, as one on another host would. */
  #companion: LightProcess | undefined;
  /** What reaching `ready` went through. */
  startCounts: Record<string, number> = {};
  #running: Promise<void> = Promise.resolve();
  #troubles = 0;
  /** How often PostgreSQL was killed at a point. */
  postgresCrashes = 0;

  private constructor(options: StageOptions, destination: FakeDestination) {
    this.#options = options;
    this.destination = destination;
    const { server, database } = options;
    const { socketDir, port, user } = server;
    this.#postgres = openPostgres({
      address: { socketDir, port, user, database },
      applicationName: 'judge',
      poolMax: 1,
    });
    options.cleanup.after(() => this.#postgres.close());
  }

  static async set(options: StageOptions): Promise<CrashStage> {
    const destination = await startDestination(options.cleanup);
    destination.respond(answerOf);
    return new CrashStage(options, destination);
  }

  get process(): LightProcess {
    if (this.#process === undefined) throw new Error('expected a process on the stage');
    return this.#process;
  }

  /** Everything that was sent so far; what comes later is new. */
  get mark(): number {
    return this.destination.deliveries.length;
  }

  /** Starts a process; resolves when it is ready (true) or over. */
  async start(order?: CrashOrder): Promise<boolean> {
    const process = this.#fork(order);
    this.#process = process;
    const ready = process.next('ready');
    // PostgreSQL may be killed before there is anybody who could be ready: then it is brought back at once.
    if (order?.kind === 'postgres') {
      this.restartPostgresAfter(process);
    }
    this.startCounts = (await ready)?.counts ?? {};
    return process.end === undefined;
  }

  /** Brings PostgreSQL back when the process says that it has killed it, which it may never come to. */
  restartPostgresAfter(process: LightProcess): void {
    process.next('crashed').then(
      (event) => (event === undefined ? undefined : this.restartPostgres()),
      () => undefined,
    );
  }

  /** Another process joins; PostgreSQL may be killed while it starts. */
  async join(): Promise<void> {
    for (let starts = 0; starts < startsMax; starts += 1) {
      const companion = this.#fork(undefined);
      this.#companion = companion;
      if ((await companion.next('ready')) !== undefined) return;
    }
    throw new Error(`expected another process to start, got:\n${this.#companion?.output.slice(-2_000)}`);
  }

  /** The other process goes: in order, or by SIGKILL, which leaves its lanes and its inboxes to the one that stays. */
  async part(isKilled: boolean): Promise<void> {
    const companion = this.#companion;
    this.#companion = undefined;
    if (companion === undefined) return;
    if (isKilled) await companion.kill();
    else companion.command({ kind: 'stop' });
    await companion.ended;
  }

  /** Sends requests until `stopLoad`, with a refused commit or a cut connection now and then. */
  startLoad(): void {
    const urls = [this.process, this.#companion].flatMap((one) => (one === undefined ? [] : one.url));
    this.#running = this.load.run(urls, requestsMax);
    let next = this.load.acknowledgedCount + troubleEvery;
    const look = async (): Promise<void> => {
      await pollUntil('trouble', () => (this.load.acknowledgedCount >= next || loaded ? true : undefined), 60_000);
      if (loaded) return;
      next = this.load.acknowledgedCount + troubleEvery;
      await this.#trouble();
      await look();
    };
    let loaded = false;
    const over = this.#running.then(() => {
      loaded = true;
    });
    this.#running = Promise.all([over, look()]).then(() => undefined);
  }

  /** Resolves when the process is over, or when the load is and the process goes on. */
  async loaded(): Promise<void> {
    await Promise.race([this.#running, this.process.ended]);
    // Its sockets are closed before anybody is told that it ended.
    if (this.load.isCutOff) await this.process.ended;
    await this.#running;
  }

  async stopLoad(): Promise<void> {
    this.load.stop();
    await this.#running;
  }

  /** Until so many more events were acknowledged, or the load ended. */
  async acknowledgedMore(count: number): Promise<void> {
    const enough = this.load.acknowledgedCount + count;
    let isOver = false;
    void this.#running.then(() => {
      isOver = true;
    });
    await pollUntil(
      'acknowledgements',
      () => (isOver || this.load.acknowledgedCount >= enough ? true : undefined),
      60_000,
    );
  }

  /** After it was killed. */
  async restartPostgres(): Promise<void> {
    this.postgresCrashes += 1;
    await this.#options.server.ensureRunning();
  }

  /** The tables, once PostgreSQL has noticed that the process is dead. */
  async readDisk(): Promise<DiskState> {
    const others = "datname = current_database() and application_name like 'sluice%'";
    await pollUntil('the sessions of the dead process to end', async () => {
      const { rowCount } = await this.#postgres.query(`select 1 from pg_stat_activity where ${others}`);
      return rowCount === 0 ? true : undefined;
    });
    return await this.#whileTablesStay(() => readDisk(this.#postgres));
  }

  /** Resolves when nothing is pending any more (true) or the process is over. */
  async quiet(): Promise<boolean> {
    const quiet = this.process.next('quiet');
    this.process.command({ kind: 'awaitQuiet' });
    return (await quiet) !== undefined;
  }

  /** Waits until nothing is pending and judges everything that was ever sent on this stage. */
  async judge(): Promise<string[]> {
    if (!(await this.quiet())) return [`the process ended before it was quiet:\n${this.process.output.slice(-2_000)}`];
    const faults = await this.#whileTablesStay(() => judgeQuiet(this.#postgres, this.load, this.destination));
    return [...faults, ...this.process.failures.map((reason) => `the process gave up: ${reason}`)];
  }

  async counts(): Promise<Record<string, number>> {
    const answer = this.process.next('counts');
    this.process.command({ kind: 'counts' });
    return (await answer)?.counts ?? {};
  }

  #fork(order: CrashOrder | undefined): LightProcess {
    const { server, database, lightProcessPath, cleanup } = this.#options;
    const host = encodeURIComponent(server.socketDir);
    return new LightProcess(cleanup, lightProcessPath, {
      postgresUrl: `postgres://${server.user}@/${database}?host=${host}&port=${server.port}`,
      workspace: crashWorkspace(this.destination),
      order,
    });
  }

  async #trouble(): Promise<void> {
    this.#troubles += 1;
    const kind = this.#troubles % 3;
    if (kind === 0) this.process.command({ kind: 'refuse' });
    else if (kind === 1) this.process.command({ kind: 'redrive' });
    else {
      const cut = "datname = current_database() and application_name ~ '^sluice (storage|lease)'";
      await this.#postgres
        .query(`select pg_terminate_backend(pid) from pg_stat_activity where ${cut}`)
        // PostgreSQL may be away just now, which is trouble enough.
        .catch(() => undefined);
    }
  }

  /** Maintenance drops tables whenever it likes, also between a look at their names and a look into them. */
  async #whileTablesStay<Value>(work: () => Promise<Value>): Promise<Value> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        const isGone = error instanceof PostgresError && (error.sqlState === undefinedTable || error.retryable);
        if (!isGone || attempt >= judgeAttemptsMax) throw error;
      }
    }
  }
}
