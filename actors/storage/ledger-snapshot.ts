// Reads the whole ledger and every pending job of a database at one moment, past the program that runs on it: what
// `sluice ledger` shows. Read-only and without locks that a commit would wait for. The pending jobs are found as a start
// finds them (recovery.ts), so that the two cannot disagree about what pending means.

import { PostgresError, type PostgresSession } from '../../transport/index.ts';
import { queueNames } from '../job.ts';
import { type Dataset, jobsTable, ledgerTable } from './datasets.ts';
import type { LedgerCount, PendingCount } from './ledger-balance.ts';
import { type KnownDatasets, readDatasets, readLanes } from './queues.ts';
import { type RecoveredPartition, recoverQueue } from './recovery.ts';

export interface LedgerSnapshot {
  counts: LedgerCount[];
  pending: PendingCount[];
}

export interface LedgerScope {
  /** Only events received from this epoch minute on. */
  sinceMinute?: number | undefined;
  /** Only this source. */
  sourceId?: string | undefined;
}

/** A table may be dropped (a finished dataset, a folded ledger) between reading its name and reading it. */
const attemptsMax = 5;
const undefinedTable = '42P01';

export async function readLedgerSnapshot(session: PostgresSession, scope: LedgerScope = {}): Promise<LedgerSnapshot> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await readOnce(session, scope);
    } catch (error) {
      const isDropped = error instanceof PostgresError && error.sqlState === undefinedTable;
      if (!isDropped || attempt >= attemptsMax) throw error;
    }
  }
}

async function readOnce(session: PostgresSession, scope: LedgerScope): Promise<LedgerSnapshot> {
  await session.query('begin isolation level repeatable read read only');
  try {
    const snapshot: LedgerSnapshot = { counts: [], pending: [] };
    for (const lane of await readLanes(session)) {
      const known = await readDatasets(session, lane);
      snapshot.counts.push(...(await readCounts(session, lane, known, scope)));
      for (const queue of queueNames) {
        const datasets = known.datasets.get(queue) ?? [];
        const partitions = await recoverQueue(session, queue, datasets);
        for (const dataset of datasets)
          snapshot.pending.push(...(await readPending(session, dataset, partitions, scope)));
      }
    }
    return snapshot;
  } finally {
    if (session.broken === undefined) await session.query('rollback');
  }
}

interface CountRow {
  minute: number;
  source_id: string;
  destination_id: string;
  kind: LedgerCount['kind'];
  count: number;
}

async function readCounts(
  session: PostgresSession,
  lane: number,
  { ledgerNumbers }: KnownDatasets,
  { sinceMinute, sourceId }: LedgerScope,
): Promise<LedgerCount[]> {
  const columns = 'minute, source_id, destination_id, kind, count';
  const union = [
    `select ${columns} from sluice_ledger_totals where lane = ${lane}`,
    ...ledgerNumbers.map((number) => `select ${columns} from ${ledgerTable(lane, number)}`),
  ].join(' union all ');
  const { rows } = await session.query<CountRow>(
    `select minute, source_id, destination_id, kind, sum(count)::bigint as count from (${union}) as entries
     where minute >= $1 and ($2::text is null or source_id = $2)
     group by minute, source_id, destination_id, kind having sum(count) <> 0`,
    [sinceMinute ?? 0, sourceId ?? null],
  );
  return rows.map(({ minute, source_id, destination_id, kind, count }) => ({
    minute,
    sourceId: source_id,
    destinationId: destination_id,
    kind,
    count: Number(count),
  }));
}

/**
 * The value of a field as it stands in the JSON text of `parameters`. Not by a cast: an event's name may hold an escaped
 * U+0000, which Postgres refuses to read.
 */
const field = (name: string): string => String.raw`substring(parameters from '"${name}":"((?:[^"\\]|\\.)*)"')`;

async function readPending(
  session: PostgresSession,
  dataset: Dataset,
  partitions: readonly RecoveredPartition[],
  { sinceMinute, sourceId }: LedgerScope,
): Promise<PendingCount[]> {
  if (partitions.length === 0) return [];
  const table = jobsTable(dataset);
  const outstanding = partitions.flatMap(({ key, outstanding: ids }) =>
    [...ids.keys()].map((jobId) => ({ key, jobId })),
  );
  const { rows } = await session.query<[number, string | null, string | null, number]>(
    `select floor(extract(epoch from received_at) / 60)::int as minute, ${field('source_id')} as source,
            ${field('destination_id')} as destination, count(*)
     from (
       select parameters, received_at from unnest($1::text[], $2::bigint[]) as fresh (partition, cursor)
         cross join lateral (
           select parameters, received_at from ${table} where partition = fresh.partition and job_id > fresh.cursor
         ) as jobs
       union all
       select parameters, received_at from unnest($3::text[], $4::bigint[]) as tried (key, id)
         join ${table} on partition = tried.key and job_id = tried.id
     ) as pending
     group by 1, 2, 3`,
    [
      partitions.map(({ key }) => key),
      partitions.map(({ cursor }) => cursor),
      outstanding.map(({ key }) => key),
      outstanding.map(({ jobId }) => jobId),
    ],
    { asArrays: true },
  );
  return rows
    .map(([minute, source, destination, count]) => ({
      minute,
      sourceId: unescaped(source),
      destinationId: dataset.queue === 'gw' ? '' : unescaped(destination),
      count,
    }))
    .filter((one) => one.minute >= (sinceMinute ?? 0) && (sourceId === undefined || one.sourceId === sourceId));
}

function unescaped(text: string | null): string {
  return text === null ? '' : String(JSON.parse(`"${text}"`));
}
