// Look-up indexes of sealed datasets: by id, by message, by user, by parent, and of the statuses once every job is finished.
// Nobody writes to those tables any more, so building an index stands in nobody's way and needs no CONCURRENTLY, which
// would wait for every old snapshot. Index and record commit together: after a crash it is simply built again.

import type { PostgresSession } from '../../transport/index.ts';
import { type Dataset, jobsTable, statusTable } from './datasets.ts';

export function needsIndexes(dataset: Dataset): boolean {
  return (isSealed(dataset) && !dataset.hasJobIndexes) || (isFinished(dataset) && !dataset.hasStatusIndex);
}

export async function indexDataset(session: PostgresSession, dataset: Dataset): Promise<void> {
  const { lane, queue, number } = dataset;
  const record = (column: string): string =>
    `update sluice_datasets set ${column} = now() where lane = ${lane} and queue = '${queue}' and number = ${number}`;
  if (isSealed(dataset) && !dataset.hasJobIndexes) {
    const jobs = jobsTable(dataset);
    // A `gw` job has no parent.
    const parent = queue === 'gw' ? '' : `create index if not exists ${jobs}_parent on ${jobs} (parent_id);`;
    await session.query(
      `create index if not exists ${jobs}_id on ${jobs} (job_id);
       create index if not exists ${jobs}_message on ${jobs} (message_id);
       create index if not exists ${jobs}_user on ${jobs} (user_id);
       ${parent}
       ${record('jobs_indexed_at')}`,
    );
    dataset.hasJobIndexes = true;
  }
  if (isFinished(dataset) && !dataset.hasStatusIndex) {
    const status = statusTable(dataset);
    await session.query(
      `create index if not exists ${status}_job on ${status} (partition, job_id); ${record('status_indexed_at')}`,
    );
    dataset.hasStatusIndex = true;
  }
}

function isSealed({ lastJobId }: Dataset): boolean {
  return lastJobId !== 0;
}

/** Also when its last jobs were moved: no status comes any more. */
function isFinished(dataset: Dataset): boolean {
  return isSealed(dataset) && dataset.finished >= dataset.rows;
}
