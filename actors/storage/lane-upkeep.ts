// What runs beside a lane's writer and keeps its tables small and its books straight: maintenance and the ledger's
// check, put together from the parts of the lane.

import type { ActorLog, Clock, Metrics } from '../../runtime/index.ts';
import type { Postgres, PostgresAddress } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import type { QueueName } from '../job.ts';
import type { DatasetList } from './dataset-list.ts';
import type { DedupTables } from './dedup-tables.ts';
import type { HandOff } from './hand-off.ts';
import { watchLane } from './lane-watch.ts';
import type { LedgerTotals } from './ledger.ts';
import { LedgerCheck } from './ledger-check.ts';
import type { LedgerTables } from './ledger-tables.ts';
import { Maintenance, type MaintenanceOptions } from './maintenance.ts';
import { readDatasets } from './queues.ts';
import { recoverLedger } from './recovery.ts';

/** A group may take several statements, each with a limit of its own: this is for all of them but the longest. */
const stuckGraceMs = 60_000;

export interface UpkeepOptions {
  lane: number;
  settings: Settings;
  postgres: Postgres;
  /** For maintenance, which has a connection of its own. */
  address: PostgresAddress;
  metrics: Metrics;
  context: { clock: Clock; log: ActorLog };
}

export function startMaintenance(
  { lane, address, settings, context, metrics }: UpkeepOptions,
  parts: {
    writer: MaintenanceOptions['lane'];
    handOff: HandOff;
    datasets: ReadonlyMap<QueueName, DatasetList>;
    ledgerTables: LedgerTables;
    dedupTables: DedupTables;
  },
): Maintenance {
  const { writer, handOff, datasets, ledgerTables, dedupTables } = parts;
  return new Maintenance({
    lane: writer,
    handOff,
    datasets,
    ledgerTables,
    dedupTables,
    postgres: {
      address,
      applicationName: `sluice maintenance ${lane}`,
      connectTimeoutMs: settings.postgres.connectTimeoutMs,
    },
    settings: settings.storage,
    context,
    metrics,
  });
}

/** Answers its end. */
export function startWatch(
  { lane, settings, context }: UpkeepOptions,
  writer: { readonly attempt: number },
  onStuck: (error: Error) => void,
): () => void {
  const { connectTimeoutMs, statementTimeoutMs } = settings.postgres;
  const stuckMs = 2 * (connectTimeoutMs + statementTimeoutMs) + stuckGraceMs;
  return watchLane({ lane, writer, clock: context.clock, stuckMs, onStuck });
}

export function startLedgerCheck(
  { lane, postgres, settings, context, metrics }: UpkeepOptions,
  { handOff, ledger, lastGroupId }: { handOff: HandOff; ledger: LedgerTotals; lastGroupId(): number },
): LedgerCheck {
  return new LedgerCheck({
    lane,
    totals: ledger,
    pending: () => ({
      sources: handOff.pending('gw'),
      destinations: handOff.pending('rt') + handOff.pending('batch_rt'),
    }),
    lastGroupId,
    readTables: (groupId) =>
      postgres.withSession(async (session) => {
        const { ledgerNumbers } = await readDatasets(session, lane);
        return await recoverLedger(session, lane, ledgerNumbers, groupId);
      }),
    tablesMs: settings.storage.ledgerCheckMs,
    metrics,
    clock: context.clock,
    log: context.log,
  });
}
