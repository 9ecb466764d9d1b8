// Reads committed jobs back: ranges of many partitions in one statement, or single jobs by id. Rows come by binary
// COPY, which is the form in which they travel anyway (job-row.ts), so nothing is decoded here but ids and keys.

import type { PostgresSession } from '../../transport/index.ts';
import type { QueueName } from '../job.ts';
import type { IdRead, JobReader, RangeRead } from './backlog-reads.ts';
import type { DatasetList } from './dataset-list.ts';
import { type Dataset, jobsTable } from './datasets.ts';
import { jobColumns, readJobId, readPartition, rowOffsets } from './job-row.ts';
import type { StoredRow } from './partition.ts';

export interface JobReaderOptions {
  /** A session that is not the lane's: reads must never wait behind a commit, nor the other way round. */
  session(): Promise<PostgresSession>;
  datasets: ReadonlyMap<QueueName, DatasetList>;
}

export function createJobReader(options: JobReaderOptions): JobReader {
  return {
    readRanges: (queue, ranges, upToId) => readRanges(options, queue, ranges, upToId),
    readIds: (queue, wanted) => readIds(options, queue, wanted),
  };
}

async function readRanges(
  options: JobReaderOptions,
  queue: QueueName,
  ranges: readonly RangeRead[],
  upToId: number,
): Promise<Map<string, StoredRow[]>> {
  const found = new Map<string, StoredRow[]>(ranges.map((range) => [range.partition, []]));
  const lowest = Math.min(...ranges.map((range) => range.afterId));
  for (const dataset of datasetsOf(options, queue)) {
    if (dataset.lastJobId !== 0 && dataset.lastJobId <= lowest) continue;
    if (dataset.firstJobId > upToId) break;
    const open = ranges.filter((range) => !isFull(range, found.get(range.partition) ?? []));
    if (open.length === 0) break;
    const session = await options.session();
    const rows = await session.copyOut(rangesSql(dataset, open, found, upToId));
    for (const { partition, row } of splitRows(rows)) found.get(partition)?.push(row);
  }
  return found;
}

async function readIds(
  options: JobReaderOptions,
  queue: QueueName,
  wanted: readonly IdRead[],
): Promise<Map<number, StoredRow>> {
  const found = new Map<number, StoredRow>();
  for (const dataset of datasetsOf(options, queue)) {
    const isHere = (id: number): boolean =>
      id >= dataset.firstJobId && (dataset.lastJobId === 0 || id <= dataset.lastJobId);
    const here = wanted
      .map(({ partition, jobIds }) => ({ partition, jobIds: jobIds.filter(isHere) }))
      .filter(({ jobIds }) => jobIds.length > 0);
    if (here.length === 0) continue;
    const session = await options.session();
    const rows = await session.copyOut(idsSql(dataset, here));
    for (const { row } of splitRows(rows)) found.set(row.jobId, row);
  }
  return found;
}

function datasetsOf(options: JobReaderOptions, queue: QueueName): readonly Dataset[] {
  return options.datasets.get(queue)?.all ?? [];
}

/** COPY takes no parameters, so values are written into the text: numbers as they are, keys quoted. */
function rangesSql(
  dataset: Dataset,
  ranges: readonly RangeRead[],
  found: ReadonlyMap<string, StoredRow[]>,
  upToId: number,
): string {
  const values = ranges.map((range) => {
    const rows = found.get(range.partition) ?? [];
    const limit = range.limit - rows.length;
    return `(${quoted(range.partition)}, ${range.afterId}::bigint, ${limit}, ${range.bytesMax - bytesOf(rows)}::bigint)`;
  });
  // The running sum is over sizes only: Postgres knows them without reading a stored value.
  return `copy (
    select ${jobColumns.replaceAll(/\w+/g, 'job.$&')}
    from (values ${values.join(', ')}) as range (key, after_id, row_limit, bytes_limit)
    cross join lateral (
      select ${jobColumns}, sum(octet_length(payload) + octet_length(parameters)) over (order by job_id) as bytes,
             octet_length(payload) + octet_length(parameters) as own_bytes
      from ${jobsTable(dataset)}
      where partition = range.key and job_id > range.after_id and job_id <= ${upToId}
      order by job_id limit range.row_limit
    ) as job
    where job.bytes - job.own_bytes < range.bytes_limit
  ) to stdout (format binary)`;
}

/** The limit keeps Postgres from joining by a look at the whole table, whatever it believes about its size. */
function idsSql(dataset: Dataset, wanted: readonly IdRead[]): string {
  const values = wanted.map(
    ({ partition, jobIds }) => `(${quoted(partition)}, '{${jobIds.join(',')}}'::bigint[], ${jobIds.length})`,
  );
  return `copy (
    select job.* from (values ${values.join(', ')}) as wanted (key, ids, ids_count)
    cross join lateral (
      select ${jobColumns} from ${jobsTable(dataset)} where partition = wanted.key and job_id = any(wanted.ids)
      order by job_id limit wanted.ids_count
    ) as job
  ) to stdout (format binary)`;
}

function isFull(range: RangeRead, rows: readonly StoredRow[]): boolean {
  return rows.length >= range.limit || bytesOf(rows) >= range.bytesMax;
}

function bytesOf(rows: readonly StoredRow[]): number {
  return rows.reduce((sum, row) => sum + row.byteLength, 0);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function splitRows(rows: Buffer): { partition: string; row: StoredRow }[] {
  const offsets = rowOffsets(rows);
  const split: { partition: string; row: StoredRow }[] = [];
  for (let index = 0; index + 1 < offsets.length; index += 1) {
    const start = offsets[index] ?? 0;
    const byteLength = (offsets[index + 1] ?? 0) - start;
    const row = { jobId: readJobId(rows, start), source: rows, start, byteLength };
    split.push({ partition: readPartition(rows, start), row });
  }
  return split;
}
