// A dataset is one pair of tables of a lane's queue: `<queue>_jobs_N` and `<queue>_status_N`, with the lane in the name
// of all lanes but the first (`gw_l1_jobs_3`). Insert-only, rolled when full,
// dropped whole when every job in it is finished and its retention is over. No row is ever updated or deleted, so
// there is nothing to vacuum and disk use is bounded by dropping.

import type { QueueName } from '../job.ts';

export interface Dataset {
  readonly lane: number;
  readonly queue: QueueName;
  readonly number: number;
  /** Jobs with an id from here on, up to `lastJobId` when sealed, are in this dataset. */
  readonly firstJobId: number;
  /** 0 while the dataset is live. */
  lastJobId: number;
  rows: number;
  bytes: number;
  /** Jobs with a terminal status. */
  finished: number;
  sealedAtMs: number;
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

/** SQL that makes both tables of a dataset, unless they are there. `payload` is stored as it is: compression costs more than it saves at 1 KB. */
export function createDatasetSql(dataset: DatasetName): string {
  const jobs = jobsTable(dataset);
  const status = statusTable(dataset);
  const insertOnly = 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.1';
  return `
create table if not exists ${jobs} (
  job_id bigint primary key,
  parent_id bigint not null,
  partition text not null,
  user_id text not null,
  message_id text not null,
  received_at timestamptz not null,
  parameters text not null,
  payload bytea not null
) with (${insertOnly});
alter table ${jobs} alter column payload set storage external;
create index if not exists ${jobs}_partition on ${jobs} (partition, job_id);
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

/** One simple query, so one transaction: seals `live` at `lastJobId` and makes its successor. May be repeated. */
export function rollSql(live: Dataset, lastJobId: number): string {
  const next = { lane: live.lane, queue: live.queue, number: live.number + 1 };
  return `${createDatasetSql(next)}
update sluice_datasets set last_job_id = ${lastJobId}, row_count = ${live.rows}, sealed_at = now()
  where lane = ${live.lane} and queue = '${live.queue}' and number = ${live.number};
insert into sluice_datasets (lane, queue, number, first_job_id)
  values (${next.lane}, '${next.queue}', ${next.number}, ${lastJobId + 1})
  on conflict do nothing;`;
}

/** The datasets of one queue, oldest first; the last one is live. */
export class DatasetList {
  readonly queue: QueueName;
  /** Never changed in place: a reader goes through the list it began with, whatever is dropped meanwhile. */
  #datasets: readonly Dataset[];

  constructor(queue: QueueName, datasets: readonly Dataset[]) {
    this.queue = queue;
    this.#datasets = [...datasets].sort((a, b) => a.number - b.number);
  }

  get all(): readonly Dataset[] {
    return this.#datasets;
  }

  get live(): Dataset {
    const live = this.#datasets.at(-1);
    if (live === undefined) throw new Error(`expected queue ${this.queue} to have a dataset`);
    return live;
  }

  /** The dataset that holds `jobId`; undefined when it was dropped. */
  containing(jobId: number): Dataset | undefined {
    for (let at = this.#datasets.length - 1; at >= 0; at -= 1) {
      const dataset = this.#datasets[at];
      if (dataset === undefined || jobId < dataset.firstJobId) continue;
      return dataset.lastJobId === 0 || jobId <= dataset.lastJobId ? dataset : undefined;
    }
    return undefined;
  }

  /** Seals the live dataset at `lastJobId` and makes `next` the live one. */
  roll(lastJobId: number, nowMs: number): Dataset {
    const sealed = this.live;
    sealed.lastJobId = lastJobId;
    sealed.sealedAtMs = nowMs;
    const next: Dataset = {
      lane: sealed.lane,
      queue: this.queue,
      number: sealed.number + 1,
      firstJobId: lastJobId + 1,
      lastJobId: 0,
      rows: 0,
      bytes: 0,
      finished: 0,
      sealedAtMs: 0,
    };
    this.#datasets = [...this.#datasets, next];
    return next;
  }

  /** Sealed datasets without unfinished jobs that may go: too old, or too many bytes are kept. Oldest first. */
  expired(nowMs: number, retentionMs: number, retentionBytesMax: number): Dataset[] {
    let kept = this.#datasets.reduce((sum, one) => sum + one.bytes, 0);
    const expired: Dataset[] = [];
    for (const dataset of this.#datasets) {
      if (dataset.lastJobId === 0 || dataset.finished < dataset.rows) continue;
      if (nowMs - dataset.sealedAtMs < retentionMs && kept <= retentionBytesMax) continue;
      kept -= dataset.bytes;
      expired.push(dataset);
    }
    return expired;
  }

  remove(dataset: Dataset): void {
    this.#datasets = this.#datasets.filter((one) => one !== dataset);
  }
}
