// The steps of a round of maintenance. Each looks in memory whether there is something to do and costs nothing when
// there is not. What sets disk space free comes first.

import type { ActorLog, Clock } from '../../runtime/index.ts';
import type { PostgresSession } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import type { QueueName } from '../job.ts';
import type { DatasetList } from './dataset-list.ts';
import { isSealDue, isSuccessorDue } from './dataset-rolls.ts';
import { createDatasetSql, type Dataset, dropTablesSql, jobsTable } from './datasets.ts';
import { type DedupTables, oldestPendingMs } from './dedup-tables.ts';
import { type Fence, fenceSql } from './group-writer.ts';
import type { HandOff } from './hand-off.ts';
import type { Lane } from './lane.ts';
import type { LedgerTables } from './ledger-tables.ts';
import { moveResidue, planMove } from './residues.ts';
import { indexDataset, needsIndexes } from './sealing.ts';

export interface MaintenanceWork {
  lane: Pick<Lane<unknown>, 'between' | 'fence' | 'ledgerInUse'>;
  handOff: Pick<HandOff, 'unfinished' | 'isUnfinished'>;
  datasets: ReadonlyMap<QueueName, DatasetList>;
  ledgerTables: LedgerTables;
  dedupTables: DedupTables;
  settings: Settings['storage'];
  clock: Clock;
  log: Pick<ActorLog, 'info' | 'warn'>;
  withSession<Value>(work: (session: PostgresSession) => Promise<Value>): Promise<Value>;
}

export interface MaintenanceStep {
  name: string;
  run(work: MaintenanceWork): Promise<void>;
}

export const maintenanceSteps: readonly MaintenanceStep[] = [
  { name: 'dropping finished datasets', run: dropExpired },
  { name: 'making the next datasets', run: prepareSuccessors },
  { name: 'sealing old datasets', run: sealOld },
  { name: 'moving unfinished jobs', run: moveResidues },
  { name: 'building look-up indexes', run: buildIndexes },
  { name: 'folding the ledger', run: foldLedger },
  { name: 'forgetting message ids', run: forgetSeen },
];

async function dropExpired(work: MaintenanceWork): Promise<void> {
  for (const list of work.datasets.values()) {
    for (const dataset of list.expired(work.clock.nowMs(), work.settings)) {
      await work.withSession((session) => dropDataset(session, dataset, work.lane.fence));
      // A reader that was on its way there fails, and reads again without it.
      list.remove(dataset);
      work.log.info({ dataset: jobsTable(dataset), rows: dataset.rows }, 'dropped a finished dataset');
    }
  }
}

async function dropDataset(session: PostgresSession, dataset: Dataset, fence: Fence): Promise<void> {
  await session.query(
    `${fenceSql(fence)} ${dropTablesSql(dataset)};
     delete from sluice_datasets
       where lane = ${dataset.lane} and queue = '${dataset.queue}' and number = ${dataset.number}`,
  );
}

async function prepareSuccessors(work: MaintenanceWork): Promise<void> {
  for (const list of work.datasets.values()) {
    if (!isSuccessorDue(list, work.clock.nowMs(), work.settings)) continue;
    const { live } = list;
    const name = list.newName();
    await work.withSession((session) => session.query(createDatasetSql(name)));
    // The lane may have made one by itself meanwhile.
    if (list.live === live && list.prepared === undefined) list.setPrepared(name);
    else await work.withSession((session) => session.query(fenceSql(work.lane.fence) + dropTablesSql(name)));
  }
}

/** A dataset that nobody writes to any more is sealed by nobody else. */
async function sealOld(work: MaintenanceWork): Promise<void> {
  const nowMs = work.clock.nowMs();
  const isDue = [...work.datasets.values()].some((list) => isSealDue(list, nowMs, work.settings));
  // The lane seals what is due whenever it has something to do.
  if (isDue) await work.lane.between(async () => undefined);
}

async function moveResidues(work: MaintenanceWork): Promise<void> {
  for (const list of work.datasets.values()) {
    const nowMs = work.clock.nowMs();
    const sources = planMove(list, nowMs, work.settings);
    if (sources.length === 0) continue;
    const { lane, handOff } = work;
    const jobs = await work.withSession((session) => moveResidue(session, { lane, handOff, list, sources, nowMs }));
    work.log.info({ datasets: sources.map(jobsTable), jobs }, 'moved unfinished jobs out of old datasets');
  }
}

async function buildIndexes(work: MaintenanceWork): Promise<void> {
  for (const list of work.datasets.values()) {
    for (const dataset of [...list.moved, ...list.all]) {
      if (needsIndexes(dataset)) await work.withSession((session) => indexDataset(session, dataset));
    }
  }
}

async function foldLedger(work: MaintenanceWork): Promise<void> {
  const nowMs = work.clock.nowMs();
  if (!work.ledgerTables.hasWork(nowMs)) return;
  await work.withSession((session) => work.ledgerTables.fold(session, work.lane, nowMs));
}

async function forgetSeen({ clock, datasets, dedupTables, lane, withSession }: MaintenanceWork): Promise<void> {
  const nowMs = clock.nowMs();
  const oldestMs = oldestPendingMs(datasets.get('gw'), nowMs);
  if (!dedupTables.hasWork(nowMs, oldestMs)) return;
  await withSession((session) => dedupTables.maintain(session, lane.fence, nowMs, oldestMs));
}
