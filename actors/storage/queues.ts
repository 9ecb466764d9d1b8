// Finds the datasets of every queue at start, and makes the first one of a queue that has none yet.

import type { PostgresSession } from '../../transport/index.ts';
import { type QueueName, queueNames } from '../job.ts';
import { createDatasetSql, type Dataset, DatasetList } from './datasets.ts';

interface DatasetRow {
  queue: string;
  number: number;
  first_job_id: number;
  last_job_id: number | null;
}

export async function loadDatasets(
  session: PostgresSession,
  nowMs: number,
): Promise<{ datasets: ReadonlyMap<QueueName, DatasetList>; ledgerNumbers: number[] }> {
  const { rows } = await session.query<DatasetRow>(
    'select queue, number, first_job_id, last_job_id from sluice_datasets order by queue, number',
  );
  const datasets = new Map<QueueName, DatasetList>();
  for (const queue of queueNames) {
    const known = rows.filter((row) => row.queue === queue).map((row) => toDataset(queue, row, nowMs));
    datasets.set(queue, new DatasetList(queue, known.length > 0 ? known : [await createFirst(session, queue, nowMs)]));
  }
  return { datasets, ledgerNumbers: rows.filter((row) => row.queue === 'ledger').map((row) => row.number) };
}

async function createFirst(session: PostgresSession, queue: QueueName, nowMs: number): Promise<Dataset> {
  await session.query(
    `${createDatasetSql({ queue, number: 1 })}
     insert into sluice_datasets (queue, number, first_job_id) values ('${queue}', 1, 1) on conflict do nothing`,
  );
  return toDataset(queue, { queue, number: 1, first_job_id: 1, last_job_id: null }, nowMs);
}

/** Row counts and bytes follow from recovery (recovery.ts). Retention of a sealed dataset starts anew: never too early. */
function toDataset(queue: QueueName, row: DatasetRow, nowMs: number): Dataset {
  return {
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
