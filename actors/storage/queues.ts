// Finds the datasets of every queue of a lane at start. A queue that was never used has none, and costs no query.

import type { PostgresSession } from '../../transport/index.ts';
import { type QueueName, queueNames } from '../job.ts';
import { DatasetList } from './dataset-list.ts';
import { type Dataset, jobsTable, ledgerTable, newDataset, statusTable } from './datasets.ts';

interface DatasetRow {
  queue: string;
  number: number;
  first_job_id: number;
  last_job_id: number | null;
  row_count: number | null;
  created_ms: number;
  sealed_ms: number | null;
  moved_to: number | null;
  is_residue: boolean;
  has_job_indexes: boolean;
  has_status_index: boolean;
}

export interface KnownDatasets {
  /** Oldest first. Row counts and bytes are unknown. */
  datasets: ReadonlyMap<QueueName, Dataset[]>;
  /** Those whose unfinished jobs are in another dataset: there for look-up only. */
  moved: ReadonlyMap<QueueName, Dataset[]>;
  ledgerNumbers: number[];
}

/** Lanes that ever had a dataset, ascending. */
export async function readLanes(session: PostgresSession): Promise<number[]> {
  const { rows } = await session.query<{ lane: number }>('select distinct lane from sluice_datasets order by lane');
  return rows.map(({ lane }) => lane);
}

/** What there is, and nothing is made. */
export async function readDatasets(session: PostgresSession, lane: number): Promise<KnownDatasets> {
  const { rows } = await session.query<DatasetRow>(
    `select queue, number, first_job_id, last_job_id, row_count, moved_to, is_residue,
       floor(extract(epoch from created_at) * 1000)::bigint as created_ms,
       floor(extract(epoch from sealed_at) * 1000)::bigint as sealed_ms,
       jobs_indexed_at is not null as has_job_indexes, status_indexed_at is not null as has_status_index
     from sluice_datasets where lane = $1 order by queue, first_job_id, number`,
    [lane],
  );
  const datasets = new Map<QueueName, Dataset[]>();
  const moved = new Map<QueueName, Dataset[]>();
  for (const queue of queueNames) {
    const known = rows.filter((row) => row.queue === queue);
    datasets.set(
      queue,
      known.filter((row) => row.moved_to === null).map((row) => toDataset(lane, queue, row)),
    );
    moved.set(
      queue,
      known.filter((row) => row.moved_to !== null).map((row) => toDataset(lane, queue, row)),
    );
  }
  return { datasets, moved, ledgerNumbers: rows.filter((row) => row.queue === 'ledger').map((row) => row.number) };
}

export async function loadDatasets(
  session: PostgresSession,
  lane: number,
): Promise<{ datasets: ReadonlyMap<QueueName, DatasetList>; ledgerNumbers: number[] }> {
  const known = await readDatasets(session, lane);
  const all = [...known.datasets.values(), ...known.moved.values()].flat();
  await dropStrays(session, lane, all);
  const datasets = new Map<QueueName, DatasetList>();
  for (const queue of queueNames) {
    const moved = known.moved.get(queue) ?? [];
    await measure(session, moved);
    datasets.set(queue, new DatasetList({ lane, queue }, known.datasets.get(queue) ?? [], moved));
  }
  const { ledgerNumbers } = known;
  if (ledgerNumbers.length === 0) ledgerNumbers.push(await createFirstLedger(session, lane));
  return { datasets, ledgerNumbers };
}

/** Tables that were made ahead or half filled when the last process ended: nothing in them counts. */
async function dropStrays(session: PostgresSession, lane: number, known: readonly Dataset[]): Promise<void> {
  const infix = lane === 0 ? '' : `l${lane}_`;
  const { rows } = await session.query<{ name: string }>(
    `select relname as name from pg_class
     where relkind = 'r' and pg_table_is_visible(oid) and relname ~ '^(${queueNames.join('|')})_${infix}(jobs|status)_[0-9]+$'`,
  );
  const entered = new Set(known.flatMap((dataset) => [jobsTable(dataset), statusTable(dataset)]));
  const strays = rows.filter(({ name }) => !entered.has(name));
  if (strays.length > 0) await session.query(`drop table ${strays.map(({ name }) => name).join(', ')}`);
}

/** Of the others recovery tells (recovery.ts). */
async function measure(session: PostgresSession, moved: readonly Dataset[]): Promise<void> {
  for (const dataset of moved) {
    const { rows } = await session.query<{ bytes: number }>('select pg_total_relation_size($1::regclass) as bytes', [
      jobsTable(dataset),
    ]);
    dataset.bytes = Number(rows[0]?.bytes ?? 0);
    dataset.finished = dataset.rows;
  }
}

/** That of lane 0 came with the first migration. */
async function createFirstLedger(session: PostgresSession, lane: number): Promise<number> {
  await session.query(
    `create table if not exists ${ledgerTable(lane, 1)} (
       group_id bigint not null,
       minute integer not null,
       source_id text not null,
       destination_id text not null,
       kind text not null,
       count bigint not null
     );
     insert into sluice_datasets (lane, queue, number, first_job_id) values (${lane}, 'ledger', 1, 0)
       on conflict do nothing`,
  );
  return 1;
}

function toDataset(lane: number, queue: QueueName, row: DatasetRow): Dataset {
  return newDataset({
    lane,
    queue,
    number: row.number,
    firstJobId: row.first_job_id,
    lastJobId: row.last_job_id ?? 0,
    createdAtMs: row.created_ms,
    sealedAtMs: row.sealed_ms ?? 0,
    rows: row.row_count ?? 0,
    isResidue: row.is_residue,
    hasJobIndexes: row.has_job_indexes,
    hasStatusIndex: row.has_status_index,
  });
}
