// Finds the datasets of every queue of a lane at start, and makes the first one of a queue that has none yet.

import type { PostgresSession } from '../../transport/index.ts';
import { type QueueName, queueNames } from '../job.ts';
import { createDatasetSql, type Dataset, DatasetList, firstJobIdOf, ledgerTable } from './datasets.ts';

interface DatasetRow {
  queue: string;
  number: number;
  first_job_id: number;
  last_job_id: number | null;
}

export interface KnownDatasets {
  /** Oldest first. Row counts and bytes are unknown. */
  datasets: ReadonlyMap<QueueName, Dataset[]>;
  ledgerNumbers: number[];
}

/** Lanes that ever had a dataset, ascending. */
export async function readLanes(session: PostgresSession): Promise<number[]> {
  const { rows } = await session.query<{ lane: number }>('select distinct lane from sluice_datasets order by lane');
  return rows.map(({ lane }) => lane);
}

/** What there is, and nothing is made. */
export async function readDatasets(session: PostgresSession, lane: number, nowMs = 0): Promise<KnownDatasets> {
  const { rows } = await session.query<DatasetRow>(
    'select queue, number, first_job_id, last_job_id from sluice_datasets where lane = $1 order by queue, number',
    [lane],
  );
  const datasets = new Map<QueueName, Dataset[]>();
  for (const queue of queueNames) {
    const known = rows.filter((row) => row.queue === queue);
    datasets.set(
      queue,
      known.map((row) => toDataset(lane, queue, row, nowMs)),
    );
  }
  return { datasets, ledgerNumbers: rows.filter((row) => row.queue === 'ledger').map((row) => row.number) };
}

export async function loadDatasets(
  session: PostgresSession,
  lane: number,
  nowMs: number,
): Promise<{ datasets: ReadonlyMap<QueueName, DatasetList>; ledgerNumbers: number[] }> {
  const known = await readDatasets(session, lane, nowMs);
  const datasets = new Map<QueueName, DatasetList>();
  for (const [queue, list] of known.datasets) {
    datasets.set(
      queue,
      new DatasetList(queue, list.length > 0 ? list : [await createFirst(session, lane, queue, nowMs)]),
    );
  }
  const { ledgerNumbers } = known;
  if (ledgerNumbers.length === 0) ledgerNumbers.push(await createFirstLedger(session, lane));
  return { datasets, ledgerNumbers };
}

async function createFirst(session: PostgresSession, lane: number, queue: QueueName, nowMs: number): Promise<Dataset> {
  const firstJobId = firstJobIdOf(lane);
  await session.query(
    `${createDatasetSql({ lane, queue, number: 1 })}
     insert into sluice_datasets (lane, queue, number, first_job_id) values (${lane}, '${queue}', 1, ${firstJobId})
       on conflict do nothing`,
  );
  return toDataset(lane, queue, { queue, number: 1, first_job_id: firstJobId, last_job_id: null }, nowMs);
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

/** Row counts and bytes follow from recovery (recovery.ts). Retention of a sealed dataset starts anew: never too early. */
function toDataset(lane: number, queue: QueueName, row: DatasetRow, nowMs: number): Dataset {
  return {
    lane,
    queue,
    number: row.number,
    firstJobId: row.first_job_id,
    lastJobId: row.last_job_id ?? 0,
    rows: 0,
    bytes: 0,
    finished: 0,
    sealedAtMs: row.last_job_id === null ? 0 : nowMs,
  };
}
