// Jobs that failed, wait for their next attempt, and hold up the later events of their users meanwhile: read from the
// database, so that those of routers at rest and of other processes are found as well. Beside the hot path: dataset by
// dataset, on a connection of main's or of a command's.

import type { PostgresSession } from '../../transport/index.ts';
import { type DatasetName, jobsTable, statusTable } from './datasets.ts';
import { datasetsOf } from './dead-letters.ts';

export interface BlockedUser {
  destinationId: string;
  /** As the job carries it: header, anonymous id and user id (job.ts). */
  userId: string;
  /** The job that failed: giving it up frees the user. */
  jobId: number;
  messageId: string;
  receivedAtMs: number;
  attempts: number;
  code: number;
  /** What the destination said, as JSON. */
  response: string;
  firstAttemptedAtMs: number;
  retryAtMs: number;
  /** Later jobs of the same user for it that are stored beside this one. */
  behind: number;
}

interface Row {
  destination_id: string | null;
  user_id: string;
  job_id: number;
  message_id: string;
  received_ms: number;
  attempt: number;
  code: number;
  response: string;
  first_ms: number | null;
  retry_ms: number | null;
  behind: number;
}

const timeoutMs = 20_000;

/** At most `limit`, the oldest first within each dataset. `destinationId`: '' for all. */
export async function findBlockedUsers(
  session: PostgresSession,
  destinationId: string,
  limit: number,
): Promise<BlockedUser[]> {
  const found: BlockedUser[] = [];
  const field = destinationId === '' ? '' : `"destination_id":${JSON.stringify(destinationId)}`;
  for (const dataset of (await datasetsOf(session)).filter(({ queue }) => queue === 'rt')) {
    if (found.length >= limit) break;
    const { rows } = await session.query<Row>(selectSql(dataset), [field, limit - found.length], { timeoutMs });
    found.push(...rows.map(toBlocked));
  }
  return found.sort((a, b) => a.jobId - b.jobId);
}

function selectSql(dataset: DatasetName): string {
  const ms = (column: string): string => `floor(extract(epoch from ${column}) * 1000)::bigint`;
  const [jobs, status] = [jobsTable(dataset), statusTable(dataset)];
  return `
    select j.parameters::jsonb ->> 'destination_id' as destination_id, j.user_id, j.job_id, j.message_id,
      s.attempt, s.code, s.response, ${ms('j.received_at')} as received_ms,
      ${ms('s.first_attempted_at')} as first_ms, ${ms('s.retry_time')} as retry_ms,
      (select count(*) from ${jobs} as b
        where b.partition = j.partition and b.user_id = j.user_id and b.job_id > j.job_id)::integer as behind
    from (
      select distinct on (partition, job_id) * from ${status} where state = 'failed'
      order by partition, job_id, attempt desc, exec_time desc
    ) as s
    join ${jobs} as j on j.job_id = s.job_id
    where ($1 = '' or position($1 in j.parameters) > 0)
      and not exists (
        select 1 from ${status} as e
        where e.partition = j.partition and e.job_id >= j.job_id and e.after_id < j.job_id
          and e.state not in ('failed', 'waiting'))
    order by j.job_id limit $2`;
}

function toBlocked(row: Row): BlockedUser {
  return {
    destinationId: row.destination_id ?? '',
    userId: row.user_id,
    jobId: row.job_id,
    messageId: row.message_id,
    receivedAtMs: row.received_ms,
    attempts: row.attempt,
    code: row.code,
    response: row.response,
    firstAttemptedAtMs: row.first_ms ?? 0,
    retryAtMs: row.retry_ms ?? 0,
    behind: row.behind,
  };
}
