// A few jobs that do not come to an end (a destination is dead for days) would keep whole datasets from being dropped.
// They are moved: copied, under their own ids, into a small dataset that takes over the ids of the old ones, so that
// every job still belongs to exactly one dataset and ids, order, statuses and runs of ids mean what they meant before.
// Sessions notice nothing; the old datasets stay for look-up until their retention is over.
//
//   copy (no lock, beside commits) -> switch (one small transaction of the lane, between two groups)
//
// A crash before the switch leaves a stray table (queues.ts); from the switch on, the residue is what counts. Jobs that
// end while they are copied are marked `moved` in the residue: that copy of theirs is not the job.

import type { PostgresSession } from '../../transport/index.ts';
import type { JobStatus } from './contract.ts';
import type { DatasetList } from './dataset-list.ts';
import {
  createDatasetSql,
  type Dataset,
  type DatasetName,
  dropTablesSql,
  jobsTable,
  newDataset,
  statusColumns,
  statusTable,
} from './datasets.ts';
import { type Fence, fenceSql } from './group-writer.ts';
import type { HandOff } from './hand-off.ts';
import { jobColumns } from './job-row.ts';
import type { Lane } from './lane.ts';
import type { UnfinishedJobs } from './unfinished-jobs.ts';

export interface ResidueLimits {
  datasetAgeMs: number;
  residueRowsMax: number;
  residuePercentMax: number;
}

/** The datasets, side by side, whose unfinished jobs are to be moved next; none when nothing is. Pure. */
export function planMove(list: DatasetList, nowMs: number, limits: ResidueLimits): readonly Dataset[] {
  let run: Dataset[] = [];
  let unfinished = 0;
  for (const dataset of list.all) {
    const left = dataset.rows - dataset.finished;
    const fits = unfinished + left <= limits.residueRowsMax;
    if (dataset.lastJobId !== 0 && fits && (left === 0 || mayGive(dataset, nowMs, limits))) {
      if (left > 0 || run.length > 0) run.push(dataset);
      unfinished += left;
      continue;
    }
    if (isWorthwhile(run, limits)) break;
    run = [];
    unfinished = 0;
  }
  while (run.length > 0 && isFinished(run.at(-1))) run.pop();
  return isWorthwhile(run, limits) ? run : [];
}

function isFinished(dataset: Dataset | undefined): boolean {
  return dataset !== undefined && dataset.finished >= dataset.rows;
}

function mayGive(dataset: Dataset, nowMs: number, limits: ResidueLimits): boolean {
  return nowMs - dataset.createdAtMs >= limits.datasetAgeMs && (dataset.isResidue || isSparse(dataset, limits));
}

function isSparse({ rows, finished }: Dataset, limits: ResidueLimits): boolean {
  return (rows - finished) * 100 <= rows * limits.residuePercentMax;
}

/** A residue is moved again only together with others, or once most of it is finished as well. */
function isWorthwhile(run: readonly Dataset[], limits: ResidueLimits): boolean {
  const giving = run.filter((dataset) => !isFinished(dataset));
  return (
    giving.length > 1 ||
    giving.some((dataset) => !dataset.isResidue || (dataset.finished > 0 && isSparse(dataset, limits)))
  );
}

export interface MoveOptions {
  lane: Pick<Lane<unknown>, 'between' | 'fence'>;
  handOff: Pick<HandOff, 'unfinished' | 'isUnfinished'>;
  list: DatasetList;
  sources: readonly Dataset[];
  nowMs: number;
}

/** Answers how many jobs were moved. */
export async function moveResidue(session: PostgresSession, options: MoveOptions): Promise<number> {
  const name = options.list.newName();
  const state = { isUndecided: false };
  try {
    return await move(session, name, options, state);
  } catch (error) {
    // Unless the switch may have happened, or nobody is there to tell: then the next start looks.
    const drop = fenceSql(options.lane.fence) + dropTablesSql(name);
    if (!state.isUndecided && session.broken === undefined) await session.query(drop);
    throw error;
  }
}

async function move(
  session: PostgresSession,
  name: DatasetName,
  { lane, handOff, list, sources, nowMs }: MoveOptions,
  state: { isUndecided: boolean },
): Promise<number> {
  const [first] = sources;
  const last = sources.at(-1);
  if (first === undefined || last === undefined) return 0;
  // In one turn, so that they speak of the same moment: what memory knows, and how many jobs that must be.
  const unfinished = handOff.unfinished(list.queue, first.firstJobId, last.lastJobId);
  const expected = sources.reduce((sum, dataset) => sum + dataset.rows - dataset.finished, 0);
  const rows = await copyJobs(session, { name, sources, unfinished, fence: lane.fence });
  if (rows !== expected) {
    throw new Error(`expected ${expected} unfinished jobs in ${sources.map(jobsTable).join(', ')}, got ${rows}`);
  }
  const residue = newDataset({
    ...name,
    firstJobId: first.firstJobId,
    lastJobId: last.lastJobId,
    createdAtMs: last.createdAtMs,
    sealedAtMs: nowMs,
    rows,
    isResidue: true,
  });
  const copied = await readCopied(session, residue);
  const before = new Map(unfinished.handedOut.map(({ jobId, status }) => [jobId, status]));
  await lane.between(async (own, fence) => {
    const changes = copied.flatMap(({ partition, jobId }) => {
      const now = handOff.isUnfinished(list.queue, partition, jobId);
      if (now === undefined) return { partition, status: endedBefore(jobId, nowMs) };
      return now === true || now === before.get(jobId) ? [] : { partition, status: now };
    });
    state.isUndecided = true;
    try {
      await switchTo(own, fence, { residue, sources, changes });
    } catch (error) {
      state.isUndecided = own.broken !== undefined;
      throw error;
    }
    // In the turn of the commit, before the next group is built.
    residue.finished = changes.filter(({ status }) => status.state === 'moved').length;
    list.replace(sources, residue);
  });
  return rows - residue.finished;
}

interface Copy {
  name: DatasetName;
  sources: readonly Dataset[];
  unfinished: UnfinishedJobs;
  fence: Fence;
}

/** Fenced like a commit, so that a process which lost its lane fills no table of its successor. */
async function copyJobs(session: PostgresSession, { name, sources, unfinished, fence }: Copy): Promise<number> {
  await session.query(createDatasetSql(name));
  const jobIds = unfinished.handedOut.map(({ jobId }) => jobId);
  const partitions = unfinished.handedOut.map(({ partition }) => partition);
  const tried = unfinished.handedOut.flatMap(({ jobId, status }) => (status === undefined ? [] : jobId));
  const keys = unfinished.waiting.map(({ partition }) => partition);
  const afterIds = unfinished.waiting.map(({ afterId }) => afterId);
  const fenced = 'with fenced as materialized (select sluice_fence($1::smallint, $2::bigint))';
  let rows = 0;
  for (const source of sources) {
    const columns = jobColumns.replaceAll(/\w+/g, 'job.$&');
    const { rowCount } = await session.query(
      `${fenced} insert into ${jobsTable(name)} (${jobColumns})
       select ${columns} from fenced, unnest($6::text[], $3::bigint[]) as handed (key, job_id)
         join ${jobsTable(source)} as job on job.partition = handed.key and job.job_id = handed.job_id
       union all
       select ${columns} from fenced, unnest($4::text[], $5::bigint[]) as waiting (key, after_id)
         join ${jobsTable(source)} as job on job.partition = waiting.key and job.job_id > waiting.after_id`,
      [fence.lane, fence.epoch, jobIds, keys, afterIds, partitions],
    );
    rows += rowCount;
    if (tried.length === 0) continue;
    await session.query(
      `${fenced} insert into ${statusTable(name)} (${statusColumns})
       select ${statusColumns} from (
         select distinct on (partition, job_id) ${statusColumns} from fenced, ${statusTable(source)}
         where job_id = any($3::bigint[]) and state in ('failed', 'waiting')
         order by partition, job_id, attempt desc, exec_time desc
       ) as newest`,
      [fence.lane, fence.epoch, tried],
    );
  }
  return rows;
}

async function readCopied(session: PostgresSession, residue: DatasetName) {
  const { rows } = await session.query<{ partition: string; jobId: number }>(
    `select partition, job_id as "jobId" from ${jobsTable(residue)}`,
  );
  return rows;
}

type MovedStatus = Omit<JobStatus, 'state'> & { state: JobStatus['state'] | 'moved' };

function endedBefore(jobId: number, nowMs: number): MovedStatus {
  const none = { attempt: 0, code: 0, response: '', retryTimeMs: 0, firstAttemptedAtMs: 0 };
  return { ...none, jobId, state: 'moved', execTimeMs: nowMs };
}

interface Switch {
  residue: Dataset;
  sources: readonly Dataset[];
  /** Statuses that came after the copy. */
  changes: readonly { partition: string; status: MovedStatus }[];
}

/** One statement, so one transaction. Repeated after a lost reply it changes nothing. */
async function switchTo(session: PostgresSession, fence: Fence, { residue, sources, changes }: Switch): Promise<void> {
  const { lane, queue, number, firstJobId, lastJobId, rows } = residue;
  const known = await session.query('select 1 from sluice_datasets where lane = $1 and queue = $2 and number = $3', [
    lane,
    queue,
    number,
  ]);
  if (known.rowCount > 0) return;
  const time = (column: string): string => `to_timestamp(nullif(${column}, 0) / 1000.0)`;
  await session.query(
    `with changed as (
       insert into ${statusTable(residue)} (${statusColumns})
       select "partition", "jobId" - 1, "jobId", 1, state, attempt, code, ${time('"execTimeMs"')},
              ${time('"retryTimeMs"')}, ${time('"firstAttemptedAtMs"')}, ''
       from jsonb_to_recordset($3::jsonb) as change ("partition" text, "jobId" bigint, state text, attempt integer,
         code integer, "execTimeMs" numeric, "retryTimeMs" numeric, "firstAttemptedAtMs" numeric)
     ), moved as (
       update sluice_datasets set moved_to = $4::integer
       where lane = $1::smallint and queue = $5::text and number = any($6::integer[])
     ), entered as (
       insert into sluice_datasets
         (lane, queue, number, first_job_id, last_job_id, row_count, created_at, sealed_at, is_residue)
       select $1::smallint, $5::text, $4::integer, $7::bigint, $8::bigint, $9::bigint, max(created_at), now(), true
       from sluice_datasets where lane = $1::smallint and queue = $5::text and number = any($6::integer[])
     )
     select sluice_fence($1::smallint, $2::bigint)`,
    [
      fence.lane,
      fence.epoch,
      JSON.stringify(changes.map(({ partition, status }) => ({ partition, ...status }))),
      number,
      queue,
      sources.map((source) => source.number),
      firstJobId,
      lastJobId,
      rows,
    ],
  );
}
