// When a dataset is sealed and the next one begins. The lane does it between two groups, in one small transaction: the
// tables of the next dataset are usually there already (maintenance.ts), so that no writer waits for them.

import type { DatasetList } from './dataset-list.ts';
import { createDatasetSql, enterDatasetSql, sealDatasetSql } from './datasets.ts';

export interface DatasetLimits {
  datasetRowsMax: number;
  datasetBytesMax: number;
  datasetAgeMs: number;
}

export interface RollPlace {
  /** Every job stored so far has a smaller id. */
  nextJobId: number;
  nowMs: number;
  limits: DatasetLimits;
}

export interface Roll {
  /** One simple query, so one transaction; may be repeated. */
  sql: string;
  /** Once it is committed. */
  apply(): void;
}

/** Undefined when nothing is to be done. `needsLive`: jobs of this queue are about to be written. */
export function planRoll(list: DatasetList, needsLive: boolean, place: RollPlace): Roll | undefined {
  const isDue = isSealDue(list, place.nowMs, place.limits);
  const opens = needsLive && (isDue || list.live === undefined);
  if (!isDue && !opens) return undefined;
  const lastJobId = place.nextJobId - 1;
  let sql = isDue && list.live !== undefined ? sealDatasetSql(list.live, lastJobId) : '';
  const isPrepared = list.prepared !== undefined;
  const next = opens ? list.nextLive(place.nextJobId, place.nowMs) : undefined;
  if (next !== undefined) sql += (isPrepared ? '' : createDatasetSql(next)) + enterDatasetSql(next);
  return {
    sql,
    apply: () => {
      if (isDue) list.seal(lastJobId, place.nowMs);
      if (next !== undefined) list.enterLive(next);
    },
  };
}

/** Full, or so old that its jobs should go with their time. */
export function isSealDue(list: DatasetList, nowMs: number, limits: DatasetLimits): boolean {
  const { live } = list;
  if (live === undefined || live.rows === 0) return false;
  return (
    live.rows >= limits.datasetRowsMax ||
    live.bytes >= limits.datasetBytesMax ||
    ageOf(live, nowMs) >= limits.datasetAgeMs
  );
}

/** Half of its way to the end: time to make the tables of the next one. */
export function isSuccessorDue(list: DatasetList, nowMs: number, limits: DatasetLimits): boolean {
  const { live } = list;
  if (live === undefined || list.prepared !== undefined) return false;
  return (
    live.rows * 2 >= limits.datasetRowsMax ||
    live.bytes * 2 >= limits.datasetBytesMax ||
    ageOf(live, nowMs) * 2 >= limits.datasetAgeMs
  );
}

function ageOf(dataset: { createdAtMs: number }, nowMs: number): number {
  return nowMs - dataset.createdAtMs;
}
