// What keeps disk use bounded and look-up quick, in the background: when it runs, and what happens when it fails. The
// work itself is in maintenance-work.ts. It has one connection of its own with timeouts of its own, so that it never
// stands in the way of a commit; a failure is told once, counted, shown in the status and tried again ever more seldom.
//
// States: waiting -> working -> waiting; after a failure `failing`, with longer waits, until a round ends well.

import type { ActorLog, Clock, Metrics } from '../../runtime/index.ts';
import {
  openPostgres,
  type Postgres,
  type PostgresAddress,
  PostgresError,
  type PostgresSession,
} from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import type { QueueName } from '../job.ts';
import type { MaintenanceStats } from './contract.ts';
import type { DatasetList } from './dataset-list.ts';
import type { DedupTables } from './dedup-tables.ts';
import type { HandOff } from './hand-off.ts';
import type { Lane } from './lane.ts';
import type { LedgerTables } from './ledger-tables.ts';
import { type MaintenanceStep, maintenanceSteps } from './maintenance-work.ts';

/** How often it looks; looking is free. */
const periodMs = 10_000;
const backoffMsMax = 300_000;
/** A lock that is waited for holds up everybody behind it, so it is not waited for long. */
const lockTimeoutMs = 2_000;

export interface MaintenanceOptions {
  lane: Pick<Lane<unknown>, 'between' | 'fence' | 'ledgerInUse'>;
  handOff: Pick<HandOff, 'unfinished' | 'isUnfinished'>;
  datasets: ReadonlyMap<QueueName, DatasetList>;
  ledgerTables: LedgerTables;
  dedupTables: DedupTables;
  postgres: { address: PostgresAddress; applicationName: string; connectTimeoutMs: number };
  settings: Settings['storage'];
  context: { clock: Clock; log: Pick<ActorLog, 'info' | 'warn'> };
  metrics: Metrics;
}

export class Maintenance {
  readonly #options: MaintenanceOptions;
  readonly #failuresTotal;
  readonly #postgres: Postgres;
  #session: PostgresSession | undefined;
  #timer: { cancel(): void } | undefined;
  #round: Promise<void> = Promise.resolve();
  #stopped = false;
  #stats: MaintenanceStats = { state: 'waiting', failures: 0, failure: '', lastRoundAtMs: 0 };
  #failuresInLine = 0;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    this.#failuresTotal = options.metrics.counter(
      'sluice_storage_maintenance_failures_total',
      'Rounds of maintenance that failed and are tried again',
    );
    this.#postgres = openPostgres({
      ...options.postgres,
      statementTimeoutMs: options.settings.maintenanceTimeoutMs,
      lockTimeoutMs,
      poolMax: 1,
    });
    this.#later();
  }

  get stats(): MaintenanceStats {
    return this.#stats;
  }

  /** One round now, after the one under way; resolves when it is over, well or not. */
  run(): Promise<void> {
    this.#round = this.#round.then(() => this.#oneRound());
    return this.#round;
  }

  /** At once: whatever is under way is rolled back by Postgres and found again at the next start. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#session?.destroy(stopped());
  }

  #later(): void {
    const delayMs = Math.min(backoffMsMax, periodMs * 2 ** this.#failuresInLine);
    this.#timer = this.#options.context.clock.setTimer(delayMs, () => {
      void this.run().then(() => {
        if (!this.#stopped) this.#later();
      });
    });
  }

  /** One step that fails keeps no other from its work: what sets disk space free must not wait for an index. */
  async #oneRound(): Promise<void> {
    if (this.#stopped) return;
    this.#stats = { ...this.#stats, state: 'working' };
    const failures: string[] = [];
    for (const step of maintenanceSteps) {
      try {
        await this.#runStep(step);
      } catch (error) {
        failures.push(`${step.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    await this.#closeSession();
    if (this.#stopped) return;
    this.#settle(failures, this.#options.context.clock.nowMs());
  }

  async #runStep(step: MaintenanceStep): Promise<void> {
    const { lane, handOff, datasets, ledgerTables, dedupTables, settings, context } = this.#options;
    const { clock, log } = context;
    const withSession = <Value>(work: (session: PostgresSession) => Promise<Value>) => this.#withSession(work);
    const work = { lane, handOff, datasets, ledgerTables, dedupTables, settings, clock, log, withSession };
    try {
      await step.run(work);
    } catch (error) {
      if (!(error instanceof PostgresError) || error.category !== 'fenced') throw error;
      // The writer had to connect anew and has another epoch; it has one for certain once it has done something.
      await lane.between(async () => undefined);
      await step.run(work);
    }
  }

  #settle(failures: readonly string[], nowMs: number): void {
    const { log } = this.#options.context;
    const failure = failures.join('; ');
    const total = this.#stats.failures + (failures.length > 0 ? 1 : 0);
    this.#stats = {
      state: failures.length > 0 ? 'failing' : 'waiting',
      failures: total,
      failure,
      lastRoundAtMs: nowMs,
    };
    if (failures.length === 0) {
      if (this.#failuresInLine > 0) log.info({}, 'maintenance works again');
      this.#failuresInLine = 0;
      return;
    }
    this.#failuresTotal.add(1);
    this.#failuresInLine += 1;
    if (this.#failuresInLine > 1) return;
    log.warn({}, `maintenance failed and is tried again ever more seldom; intake goes on: ${failure}`);
  }

  /** The round's connection: made when there is something to do, closed at the end of the round. */
  async #withSession<Value>(work: (session: PostgresSession) => Promise<Value>): Promise<Value> {
    if (this.#stopped) throw stopped();
    if (this.#session?.broken !== undefined) await this.#closeSession();
    this.#session ??= await this.#postgres.session();
    // Stopped while it was being made: nobody else closes it.
    if (this.#stopped) await this.#closeSession();
    if (this.#session === undefined) throw stopped();
    return await work(this.#session);
  }

  async #closeSession(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }
}

function stopped(): PostgresError {
  return new PostgresError('connection', 'the storage actor was stopped');
}
