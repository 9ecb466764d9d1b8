// Look-up indexes of sealed datasets: by id, by message, by user, by parent, and of the statuses once every job is finished.
// Nobody writes to those tables any more, so building an index stands in nobody's way and needs no CONCURRENTLY, which
// would wait for every old snapshot. Index and record commit together: after a crash it is simply built again.

import { PostgresError, type PostgresSession } from '../../transport/index.ts';
import { type Dataset, jobsTable, statusTable } from './datasets.ts';

const programLimitExceeded = '54000';

export function needsIndexes(dataset: Dataset): boolean {
  return (isSealed(dataset) && !dataset.hasJobIndexes) || (isFinished(dataset) && !dataset.hasStatusIndex);
}

export async function indexDataset(session: PostgresSession, dataset: Dataset): Promise<void> {
  if (isSealed(dataset) && !dataset.hasJobIndexes) {
    const jobs = jobsTable(dataset);
    // A `gw` job has no parent.
    const columns = {
      id: 'job_id',
      message: 'message_id',
      user: 'user_id',
      ...(dataset.queue === 'gw' ? {} : { parent: 'parent_id' }),
    };
    const statements = Object.entries(columns).map(([name, column]) => indexSql(`${jobs}_${name}`, jobs, column));
    await build(session, dataset, statements, 'jobs_indexed_at');
    dataset.hasJobIndexes = true;
  }
  if (isFinished(dataset) && !dataset.hasStatusIndex) {
    const status = statusTable(dataset);
    await build(session, dataset, [indexSql(`${status}_job`, status, 'partition, job_id')], 'status_indexed_at');
    dataset.hasStatusIndex = true;
  }
}

function indexSql(name: string, table: string, columns: string): string {
  return `create index if not exists ${name} on ${table} (${columns})`;
}

/**
 * Ids are the client's, and one that is longer than an index takes must not keep anything from being looked up: what it
 * is in goes without that index, and is looked through.
 */
async function build(
  session: PostgresSession,
  { lane, queue, number }: Dataset,
  statements: readonly string[],
  column: string,
): Promise<void> {
  const record = `update sluice_datasets set ${column} = now() where lane = ${lane} and queue = '${queue}' and number = ${number}`;
  try {
    await session.query([...statements, record].join(';\n'));
  } catch (error) {
    if (!isTooLong(error)) throw error;
    for (const statement of statements) {
      await session.query(statement).catch((own: unknown) => {
        if (!isTooLong(own)) throw own;
      });
    }
    await session.query(record);
  }
}

function isTooLong(error: unknown): boolean {
  return error instanceof PostgresError && error.sqlState === programLimitExceeded;
}

function isSealed({ lastJobId }: Dataset): boolean {
  return lastJobId !== 0;
}

/** Also when its last jobs were moved: no status comes any more. */
function isFinished(dataset: Dataset): boolean {
  return isSealed(dataset) && dataset.finished >= dataset.rows;
}
