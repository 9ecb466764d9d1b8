// What a storage actor must know before it serves: which jobs of which partition are unfinished. Read from the status
// rows (few, because success is compact) and the partition index of the job tables; payloads are not touched.
//
// Every terminal status row covers the jobs of its partition with an id in (after_id, job_id]. Jobs above the last
// covered or tried id were never handed out; jobs below it that no row covers were in hand when the writer died.

import type { PostgresSession } from '../../transport/index.ts';
import type { JobState, QueueName } from '../job.ts';
import { isTerminal } from '../job.ts';
import type { JobStatus, LedgerDelta } from './contract.ts';
import { type Dataset, jobsTable, ledgerTable, statusTable } from './datasets.ts';

export interface RecoveredPartition {
  queue: QueueName;
  key: string;
  /** Highest id that was ever reported on; 0 when none was. */
  cursor: number;
  lastStored: number;
  pending: number;
  /** An estimate: payloads are not read. */
  pendingBytes: number;
  /** Unfinished jobs up to the cursor, ascending, with their last explicit status. */
  outstanding: Map<number, JobStatus | undefined>;
}

interface Interval {
  afterId: number;
  jobId: number;
}

interface Found {
  total: number;
  finished: number;
  firstJobId: number;
  lastJobId: number;
  cursor: number;
  /** Covered ids, ascending by their end. */
  intervals: Interval[];
  statuses: Map<number, JobStatus>;
}

/** Fills `rows`, `finished` of the datasets and returns every partition with unfinished jobs. */
export async function recoverQueue(
  session: PostgresSession,
  queue: QueueName,
  datasets: readonly Dataset[],
): Promise<RecoveredPartition[]> {
  const found = new Map<string, Found>();
  for (const dataset of datasets) {
    await readTotals(session, dataset, found);
    await readStatuses(session, dataset, found);
  }
  const rows = datasets.reduce((sum, dataset) => sum + dataset.rows, 0);
  const rowBytes = rows === 0 ? 0 : datasets.reduce((sum, dataset) => sum + dataset.bytes, 0) / rows;
  const recovered: RecoveredPartition[] = [];
  const holes: RecoveredPartition[] = [];
  for (const [key, one] of found) {
    const pending = one.total - one.finished;
    if (pending <= 0) continue;
    const { cursor, lastJobId: lastStored } = one;
    const pendingBytes = pending * rowBytes;
    const partition = { queue, key, cursor, lastStored, pending, pendingBytes, outstanding: new Map() };
    recovered.push(partition);
    if (lowEnd(one) < one.cursor) holes.push(partition);
  }
  await readHoles(session, datasets, found, holes);
  return recovered;
}

/** Sums of a lane's ledger since the beginning; with `lastGroupId`, without what later groups wrote. */
export async function recoverLedger(
  session: PostgresSession,
  lane: number,
  ledgerNumbers: readonly number[],
  lastGroupId = Number.MAX_SAFE_INTEGER,
): Promise<LedgerDelta[]> {
  const columns = 'source_id, destination_id, kind, count';
  const union = [
    `select ${columns} from sluice_ledger_totals where lane = ${lane}`,
    ...ledgerNumbers.map(
      (number) => `select ${columns} from ${ledgerTable(lane, number)} where group_id <= ${lastGroupId}`,
    ),
  ].join(' union all ');
  const { rows } = await session.query<{ source_id: string; destination_id: string; kind: string; count: string }>(
    `select source_id, destination_id, kind, sum(count)::text as count from (${union}) as deltas
     group by source_id, destination_id, kind having sum(count) <> 0`,
  );
  return rows.map((row) => ({
    minute: 0,
    sourceId: row.source_id,
    destinationId: row.destination_id,
    kind: row.kind as LedgerDelta['kind'],
    count: Number(row.count),
  }));
}

async function readTotals(session: PostgresSession, dataset: Dataset, found: Map<string, Found>): Promise<void> {
  const { rows } = await session.query<[string, number, number, number]>(
    `select partition, count(*), min(job_id), max(job_id) from ${jobsTable(dataset)} group by partition`,
    [],
    { asArrays: true },
  );
  dataset.rows = 0;
  for (const [key, count, firstJobId, lastJobId] of rows) {
    dataset.rows += count;
    const one = found.get(key);
    if (one === undefined) found.set(key, emptyFound(count, firstJobId, lastJobId));
    else {
      one.total += count;
      one.lastJobId = lastJobId;
    }
  }
  const size = await session.query<{ bytes: number }>('select pg_total_relation_size($1::regclass) as bytes', [
    jobsTable(dataset),
  ]);
  dataset.bytes = Number(size.rows[0]?.bytes ?? 0);
}

interface StatusRow {
  partition: string;
  after_id: number;
  job_id: number;
  jobs: number;
  state: JobState | 'moved';
  attempt: number;
  code: number;
  exec_ms: number;
  retry_ms: number;
  first_ms: number;
}

/**
 * What ended, and of every job that did not the newest attempt only, without what the destination said: a destination
 * that was dead for a day leaves gigabytes of that, and nobody asks for it again. Of two in the same millisecond (a job
 * that failed and then waits) the one that was written later counts: rows are only ever added, so `ctid` tells.
 */
async function readStatuses(session: PostgresSession, dataset: Dataset, found: Map<string, Found>): Promise<void> {
  const ms = (column: string): string => `coalesce(floor(extract(epoch from ${column}) * 1000), 0)::bigint`;
  const columns = 'partition, after_id, job_id, jobs, state, attempt, code, exec_time, retry_time, first_attempted_at';
  const { rows } = await session.query<StatusRow>(
    `with newest as (
       select distinct on (partition, job_id) ${columns} from ${statusTable(dataset)} where state in ('failed', 'waiting')
       order by partition, job_id, attempt desc, exec_time desc, ctid desc
     )
     select partition, after_id, job_id, jobs, state, attempt, code, ${ms('exec_time')} as exec_ms,
            ${ms('retry_time')} as retry_ms, ${ms('first_attempted_at')} as first_ms
     from (
       select * from newest union all
       select ${columns} from ${statusTable(dataset)} where state not in ('failed', 'waiting')
     ) as statuses order by partition, job_id`,
  );
  dataset.finished = 0;
  for (const row of rows) {
    const one = found.get(row.partition);
    if (one === undefined) continue;
    if (row.job_id > one.cursor) one.cursor = row.job_id;
    // A copy that was overtaken by the end of its job (residues.ts) ends with it.
    if (row.state === 'moved' || isTerminal(row.state)) {
      dataset.finished += row.jobs;
      one.finished += row.jobs;
      addInterval(one.intervals, { afterId: row.after_id, jobId: row.job_id });
    } else one.statuses.set(row.job_id, toStatus(row, row.state));
  }
}

/** Reads the ids up to the cursor that no terminal row covers. One statement per dataset serves all partitions. */
async function readHoles(
  session: PostgresSession,
  datasets: readonly Dataset[],
  found: ReadonlyMap<string, Found>,
  holes: readonly RecoveredPartition[],
): Promise<void> {
  if (holes.length === 0) return;
  const keys = holes.map((one) => one.key);
  const lows = holes.map((one) => lowEnd(found.get(one.key)));
  const highs = holes.map((one) => one.cursor);
  const byKey = new Map(holes.map((one) => [one.key, one]));
  for (const dataset of datasets) {
    const { rows } = await session.query<[string, number]>(
      `select j.partition, j.job_id
       from unnest($1::text[], $2::bigint[], $3::bigint[]) as hole (partition, low, high)
       cross join lateral (
         select partition, job_id from ${jobsTable(dataset)}
         where partition = hole.partition and job_id > hole.low and job_id <= hole.high
         order by job_id
       ) as j`,
      [keys, lows, highs],
      { asArrays: true },
    );
    for (const [key, jobId] of rows) {
      const one = found.get(key);
      if (one === undefined || isCovered(one.intervals, jobId)) continue;
      byKey.get(key)?.outstanding.set(jobId, one.statuses.get(jobId));
    }
  }
}

function emptyFound(total: number, firstJobId: number, lastJobId: number): Found {
  return { total, finished: 0, firstJobId, lastJobId, cursor: 0, intervals: [], statuses: new Map() };
}

function toStatus(row: StatusRow, state: JobState): JobStatus {
  return {
    jobId: row.job_id,
    state,
    attempt: row.attempt,
    code: row.code,
    response: '',
    execTimeMs: row.exec_ms,
    retryTimeMs: row.retry_ms,
    firstAttemptedAtMs: row.first_ms,
  };
}

/** Up to here everything is finished without a gap. */
function lowEnd(one: Found | undefined): number {
  if (one === undefined) return 0;
  const [first] = one.intervals;
  return first !== undefined && first.afterId < one.firstJobId ? first.jobId : one.firstJobId - 1;
}

/** Rows come ascending by `jobId`, so only the last intervals can touch the new one. */
export function addInterval(intervals: Interval[], next: Interval): void {
  let { afterId } = next;
  for (let last = intervals.at(-1); last !== undefined && last.jobId >= afterId; last = intervals.at(-1)) {
    afterId = Math.min(afterId, last.afterId);
    intervals.pop();
  }
  intervals.push({ afterId, jobId: next.jobId });
}

/** Binary search for the first interval that ends at or after `jobId`. */
export function isCovered(intervals: readonly Interval[], jobId: number): boolean {
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((intervals[middle]?.jobId ?? 0) < jobId) low = middle + 1;
    else high = middle;
  }
  const interval = intervals[low];
  return interval !== undefined && interval.afterId < jobId;
}
