// Where a job is (promise P6 for a single event): any job still kept, by its id, by its message or by its parent, with
// its state and every attempt. Beside the hot path: it has a connection of the pool and never the lane's.

import type { PostgresSession } from '../../transport/index.ts';
import type { QueueName } from '../job.ts';
import type { FoundState, JobAttempt, JobFound, WantedJobs } from './contract.ts';

const timeoutMs = 10_000;

interface JobRow {
  queue: QueueName;
  lane: number;
  job_id: number;
  parent_id: number;
  partition: string;
  user_id: string;
  message_id: string;
  received_ms: number;
  parameters: string;
  state: FoundState | 'moved';
  attempts: JobAttempt[];
}

/** Ascending by id. `lane`: only jobs of that lane. */
export async function findJobs(session: PostgresSession, wanted: WantedJobs, lane?: number): Promise<JobFound[]> {
  const { rows } = await session.query<JobRow>(
    `select queue, lane, job_id, parent_id, partition, user_id, message_id, parameters, state, attempts,
       floor(extract(epoch from received_at) * 1000)::bigint as received_ms
     from sluice_job_state($1::text, $2::bigint, $3::bigint, $4::smallint)`,
    [
      'messageId' in wanted ? wanted.messageId : null,
      'jobId' in wanted ? wanted.jobId : null,
      'parentId' in wanted ? wanted.parentId : null,
      lane ?? null,
    ],
    { timeoutMs },
  );
  return mergeMoved(rows);
}

/** An event and everything that became of it: its own jobs, then those made from them. */
export async function findLife(session: PostgresSession, messageId: string): Promise<JobFound[]> {
  const jobs = new Map<number, JobFound>();
  for (const job of await findJobs(session, { messageId })) {
    jobs.set(job.jobId, job);
    if (job.queue !== 'gw') continue;
    for (const child of await findJobs(session, { parentId: job.jobId })) jobs.set(child.jobId, child);
  }
  return [...jobs.values()].sort((a, b) => a.jobId - b.jobId);
}

/** A job that was moved is in two datasets: it is where it is now, and has the attempts of both. */
function mergeMoved(rows: readonly JobRow[]): JobFound[] {
  const found = new Map<number, JobFound>();
  const moved = new Map<number, JobAttempt[]>();
  for (const row of rows) {
    // Left over in a dataset that gave it away: its attempts up to then, with their answers.
    if (row.state === 'moved') moved.set(row.job_id, [...(moved.get(row.job_id) ?? []), ...row.attempts]);
    else found.set(row.job_id, toFound(row, row.state));
  }
  for (const [jobId, earlier] of moved) {
    const job = found.get(jobId);
    if (job !== undefined) job.attempts = distinct([...earlier, ...job.attempts]);
  }
  return [...found.values()].sort((a, b) => a.jobId - b.jobId);
}

/** The first of equal ones: the copy that moved with the job may have lost its answer. */
function distinct(attempts: readonly JobAttempt[]): JobAttempt[] {
  const byMoment = new Map<string, JobAttempt>();
  for (const one of attempts) {
    const key = `${one.atMs} ${one.state} ${one.attempt}`;
    if (!byMoment.has(key)) byMoment.set(key, one);
  }
  return [...byMoment.values()].sort((a, b) => a.atMs - b.atMs);
}

function toFound(row: JobRow, state: FoundState): JobFound {
  return {
    queue: row.queue,
    lane: row.lane,
    jobId: row.job_id,
    parentId: row.parent_id,
    partition: row.partition,
    userId: row.user_id,
    messageId: row.message_id,
    receivedAtMs: row.received_ms,
    parameters: row.parameters,
    state,
    isHandedOut: false,
    attempts: row.attempts,
  };
}
