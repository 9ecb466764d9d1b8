// A dataset is one pair of tables of a lane's queue: `<queue>_jobs_N` and `<queue>_status_N`, with the lane in the name
// of all lanes but the first (`gw_l1_jobs_3`). Insert-only, made by the first job that needs it, sealed when it is full
// or old, dropped whole when every job in it is finished and its retention is over. No row is ever updated or deleted,
// so there is nothing to vacuum and disk use is bounded by dropping.
//
// States: live -> sealed -> dropped, or sealed -> moved (its last jobs live on in a residue, residues.ts) -> dropped.

import type { QueueName } from '../job.ts';

export interface Dataset {
  readonly lane: number;
  readonly queue: QueueName;
  readonly number: number;
  /** Jobs with an id from here on, up to `lastJobId` when sealed, are in this dataset. */
  readonly firstJobId: number;
  /** 0 while the dataset is live. */
  lastJobId: number;
  readonly createdAtMs: number;
  sealedAtMs: number;
  rows: number;
  bytes: number;
  /** Jobs with a terminal status. */
  finished: number;
  /** Holds the last unfinished jobs of the datasets whose ids it has taken over, and nothing else. */
  readonly isResidue: boolean;
  /** Look-up indexes that are there (sealing.ts). */
  hasJobIndexes: boolean;
  hasStatusIndex: boolean;
}

/** What names the tables of a dataset. */
export type DatasetName = Pick<Dataset, 'lane' | 'queue' | 'number'>;

export function jobsTable({ lane, queue, number }: DatasetName): string {
  return `${queue}_${laneInfix(lane)}jobs_${number}`;
}

export function statusTable({ lane, queue, number }: DatasetName): string {
  return `${queue}_${laneInfix(lane)}status_${number}`;
}

export function ledgerTable(lane: number, number: number): string {
  return `sluice_ledger_${laneInfix(lane)}${number}`;
}

export function dedupTable(lane: number, number: number): string {
  return `sluice_dedup_${laneInfix(lane)}${number}`;
}

/** The first lane's tables are named as before there were others. */
function laneInfix(lane: number): string {
  return lane === 0 ? '' : `l${lane}_`;
}

/** Job ids of lane L start at L × 2^44, so that ids of all lanes are distinct and stay below 2^53. */
export const laneIdSpan = 2 ** 44;

export function firstJobIdOf(lane: number): number {
  return lane * laneIdSpan + 1;
}

export const statusColumns =
  'partition, after_id, job_id, jobs, state, attempt, code, exec_time, retry_time, first_attempted_at, response';

/**
 * SQL that makes both tables of a dataset, unless they are there. `payload` is stored as it is: compression costs more
 * than it saves at 1 KB. One index, because each costs 70 to 110 bytes of WAL for every job: the partition stands first in
 * it, so whoever looks for a job by its id names its partition. Fields that are aligned come first, where they need no padding.
 */
export function createDatasetSql(dataset: DatasetName): string {
  const jobs = jobsTable(dataset);
  const status = statusTable(dataset);
  const insertOnly = 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.1';
  return `
create table if not exists ${jobs} (
  job_id bigint not null,
  parent_id bigint not null,
  received_at timestamptz not null,
  payload bytea not null,
  partition text not null,
  user_id text not null,
  message_id text not null,
  parameters text not null,
  primary key (partition, job_id)
) with (${insertOnly});
alter table ${jobs} alter column payload set storage external;
create table if not exists ${status} (
  partition text not null,
  after_id bigint not null,
  job_id bigint not null,
  jobs integer not null,
  state text not null,
  attempt integer not null,
  code integer not null,
  exec_time timestamptz not null,
  retry_time timestamptz,
  first_attempted_at timestamptz,
  response text not null
) with (${insertOnly});
`;
}

/** A dataset that holds nothing yet. */
export function newDataset(
  fields: DatasetName & Pick<Dataset, 'firstJobId' | 'createdAtMs'> & Partial<Dataset>,
): Dataset {
  return {
    lastJobId: 0,
    sealedAtMs: 0,
    rows: 0,
    bytes: 0,
    finished: 0,
    isResidue: false,
    hasJobIndexes: false,
    hasStatusIndex: false,
    ...fields,
  };
}

export function dropTablesSql(dataset: DatasetName): string {
  return `drop table if exists ${jobsTable(dataset)}, ${statusTable(dataset)}`;
}

/** Enters a dataset whose tables are there into the catalogue. */
export function enterDatasetSql({ lane, queue, number, firstJobId }: Dataset): string {
  return `insert into sluice_datasets (lane, queue, number, first_job_id)
  values (${lane}, '${queue}', ${number}, ${firstJobId}) on conflict do nothing;
`;
}

export function sealDatasetSql({ lane, queue, number, rows }: Dataset, lastJobId: number): string {
  return `update sluice_datasets set last_job_id = ${lastJobId}, row_count = ${rows}, sealed_at = now()
  where lane = ${lane} and queue = '${queue}' and number = ${number};
`;
}
