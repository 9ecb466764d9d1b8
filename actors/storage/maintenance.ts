// What keeps disk use bounded: drops finished datasets whose retention is over and folds old ledger rows into totals.
// It has its own connection, runs seldom and only when there is something to do; a failure is logged and tried again,
// and never touches intake.

import type { ActorLog, Clock } from '../../runtime/index.ts';
import type { Postgres, PostgresSession } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import type { QueueName } from '../job.ts';
import { type Dataset, type DatasetList, jobsTable, ledgerTable, statusTable } from './datasets.ts';

/** How often it looks; looking is free. */
const periodMs = 10_000;
/** Ledger rows are folded once this many were written since the last time. */
const ledgerRowsMax = 200_000;

export interface MaintenanceOptions {
  lane: number;
  postgres: Postgres;
  datasets: ReadonlyMap<QueueName, DatasetList>;
  /** All ledger tables, oldest first; the last one is written to. */
  ledgerNumbers: readonly number[];
  settings: Settings['storage'];
  /** The ledger table that a group in flight writes to, if any: it is not folded meanwhile. */
  ledgerInUse(): number | undefined;
  context: { clock: Clock; log: Pick<ActorLog, 'info' | 'warn'> };
}

export interface Maintenance {
  /** The ledger table that commits write to. */
  readonly ledgerNumber: number;
  /** Tells how many ledger rows a commit wrote. */
  ledgerRows(count: number): void;
  /** One round now; resolves when it is done. */
  run(): Promise<void>;
  stop(): Promise<void>;
}

export function startMaintenance(options: MaintenanceOptions): Maintenance {
  const { clock, log } = options.context;
  const state = { number: options.ledgerNumbers.at(-1) ?? 1, old: options.ledgerNumbers.slice(0, -1), rows: 0 };
  let stopped = false;
  let round: Promise<void> = Promise.resolve();
  const run = (): Promise<void> => {
    round = round
      .then(() => oneRound(options, state))
      .catch((error: unknown) => {
        log.warn(
          {},
          `maintenance failed and is tried again: ${error instanceof Error ? error.message : String(error)}`,
        );
      });
    return round;
  };
  let timer = clock.setTimer(periodMs, tick);
  function tick(): void {
    if (stopped) return;
    void run().then(() => {
      if (!stopped) timer = clock.setTimer(periodMs, tick);
    });
  }
  return {
    get ledgerNumber() {
      return state.number;
    },
    ledgerRows: (count) => {
      state.rows += count;
    },
    run,
    stop: async () => {
      stopped = true;
      timer.cancel();
      await round;
    },
  };
}

interface LedgerState {
  number: number;
  /** Tables to fold: nobody writes to them any more, but for a group that is in flight. */
  old: number[];
  rows: number;
}

async function oneRound(options: MaintenanceOptions, ledger: LedgerState): Promise<void> {
  const now = options.context.clock.nowMs();
  const { retentionMs, retentionBytesMax } = options.settings;
  for (const list of options.datasets.values()) {
    for (const dataset of list.expired(now, retentionMs, retentionBytesMax)) {
      // Out of the list first: a reader that comes later does not look for it.
      list.remove(dataset);
      await options.postgres.withSession((session) => dropDataset(session, dataset));
      options.context.log.info({ dataset: jobsTable(dataset), rows: dataset.rows }, 'dropped a finished dataset');
    }
  }
  for (const number of ledger.old.filter((one) => one !== options.ledgerInUse())) {
    await options.postgres.withSession((session) => foldLedger(session, options.lane, number));
    ledger.old.splice(ledger.old.indexOf(number), 1);
  }
  if (ledger.rows >= ledgerRowsMax) {
    const next = ledger.number + 1;
    await options.postgres.withSession((session) => createLedger(session, options.lane, next));
    // Folded in the next round: a group in flight may still write to the old table.
    ledger.old.push(ledger.number);
    ledger.number = next;
    ledger.rows = 0;
  }
}

async function dropDataset(session: PostgresSession, dataset: Dataset): Promise<void> {
  await session.query(
    `drop table if exists ${jobsTable(dataset)}; drop table if exists ${statusTable(dataset)};
     delete from sluice_datasets
       where lane = ${dataset.lane} and queue = '${dataset.queue}' and number = ${dataset.number}`,
  );
}

async function createLedger(session: PostgresSession, lane: number, number: number): Promise<void> {
  await session.query(
    `create table if not exists ${ledgerTable(lane, number)} (like ${ledgerTable(lane, number - 1)} including all);
     insert into sluice_datasets (lane, queue, number, first_job_id) values (${lane}, 'ledger', ${number}, 0)
       on conflict do nothing`,
  );
}

/** One simple query, so one transaction: the sums move and the table goes, or neither. */
async function foldLedger(session: PostgresSession, lane: number, number: number): Promise<void> {
  const table = ledgerTable(lane, number);
  await session.query(
    `insert into sluice_ledger_totals as t (lane, minute, source_id, destination_id, kind, count)
       select ${lane}, minute, source_id, destination_id, kind, sum(count) from ${table}
       where count <> 0 group by minute, source_id, destination_id, kind
     on conflict (lane, minute, source_id, destination_id, kind) do update set count = t.count + excluded.count;
     drop table ${table};
     delete from sluice_datasets where lane = ${lane} and queue = 'ledger' and number = ${number}`,
  );
}
