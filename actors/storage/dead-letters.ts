// Jobs that were given up, as long as their dataset is kept: found by destination, source, code and time, newest first,
// with everything that is known about why. Beside the hot path: read dataset by dataset, on a connection of main's.

import type { PostgresSession } from '../../transport/index.ts';
import { type QueueName, queueNames } from '../job.ts';
import { type DatasetName, jobsTable, statusTable } from './datasets.ts';

export interface DeadLetterFilter {
  /** '' or 0: any. */
  destinationId: string;
  sourceId: string;
  code: number;
  /** Epoch ms of the abort: from `sinceMs` on, before `untilMs`; 0: any. */
  sinceMs: number;
  untilMs: number;
  /** Only jobs with a smaller id: where the page before ended. 0: from the newest on. */
  beforeJobId: number;
  /** Only these; none: any. */
  jobIds: readonly number[];
  /** Also those that were tried again. */
  withRetried: boolean;
}

export interface DeadLetter {
  lane: number;
  queue: QueueName;
  jobId: number;
  parentId: number;
  partition: string;
  userId: string;
  messageId: string;
  receivedAtMs: number;
  abortedAtMs: number;
  attempts: number;
  code: number;
  /** What the destination said and why it was given up, as JSON (spec/delivery.md 1.9). */
  response: string;
  parameters: string;
  /** 0: never. */
  retriedAtMs: number;
  payload: Buffer;
}

interface Row {
  job_id: number;
  parent_id: number;
  partition: string;
  user_id: string;
  message_id: string;
  received_ms: number;
  aborted_ms: number;
  attempt: number;
  code: number;
  response: string;
  parameters: string;
  retried_ms: number | null;
  payload: Buffer;
}

const timeoutMs = 20_000;

/** At most `limit`, newest first within each lane. Ids of different lanes say nothing about time, so lanes come in turn. */
export async function findDeadLetters(
  session: PostgresSession,
  filter: DeadLetterFilter,
  limit: number,
): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  for (const dataset of await datasetsOf(session)) {
    if (found.length >= limit) break;
    const { rows } = await session.query<Row>(selectSql(dataset), valuesOf(filter, limit - found.length), {
      timeoutMs,
    });
    for (const row of rows) found.push(toDeadLetter(dataset, row));
  }
  return found.sort((a, b) => b.jobId - a.jobId);
}

export async function datasetsOf(session: PostgresSession): Promise<DatasetName[]> {
  // Tables are dropped while we read: only those that are there are asked.
  const { rows } = await session.query<{ lane: number; queue: QueueName; number: number }>(
    `select lane, queue, number from sluice_datasets where queue = any($1) order by lane desc, first_job_id desc`,
    [queueNames],
  );
  const { rows: tables } = await session.query<{ name: string }>(
    'select tablename as name from pg_tables where schemaname = any(current_schemas(false))',
  );
  const names = new Set(tables.map(({ name }) => name));
  return rows.filter((dataset) => names.has(jobsTable(dataset)) && names.has(statusTable(dataset)));
}

function selectSql(dataset: DatasetName): string {
  const ms = (column: string): string => `floor(extract(epoch from ${column}) * 1000)::bigint`;
  return `
    select j.job_id, j.parent_id, j.partition, j.user_id, j.message_id, j.parameters, j.payload,
      s.attempt, s.code, s.response,
      ${ms('j.received_at')} as received_ms, ${ms('s.exec_time')} as aborted_ms, ${ms('r.redriven_at')} as retried_ms
    from ${statusTable(dataset)} as s
      join ${jobsTable(dataset)} as j on j.partition = s.partition and j.job_id = s.job_id
      left join sluice_redriven as r on r.job_id = s.job_id
    where s.state = 'aborted'
      and ($1 = '' or position($1 in j.parameters) > 0)
      and ($2 = '' or position($2 in j.parameters) > 0)
      and ($3::int = 0 or s.code = $3::int)
      and ($4::bigint = 0 or s.exec_time >= to_timestamp($4::bigint / 1000.0))
      and ($5::bigint = 0 or s.exec_time < to_timestamp($5::bigint / 1000.0))
      and ($6::bigint = 0 or s.job_id < $6::bigint)
      and (cardinality($7::bigint[]) = 0 or s.job_id = any($7::bigint[]))
      and ($8::boolean or r.job_id is null)
    order by s.job_id desc limit $9`;
}

/** Parameters are compact JSON of ours, so that a field and its value are one text in them. */
function valuesOf(filter: DeadLetterFilter, limit: number): unknown[] {
  const field = (name: string, value: string): string => (value === '' ? '' : `"${name}":${JSON.stringify(value)}`);
  return [
    field('destination_id', filter.destinationId),
    field('source_id', filter.sourceId),
    filter.code,
    filter.sinceMs,
    filter.untilMs,
    filter.beforeJobId,
    filter.jobIds,
    filter.withRetried,
    limit,
  ];
}

function toDeadLetter({ lane, queue }: DatasetName, row: Row): DeadLetter {
  return {
    lane,
    queue,
    jobId: row.job_id,
    parentId: row.parent_id,
    partition: row.partition,
    userId: row.user_id,
    messageId: row.message_id,
    receivedAtMs: row.received_ms,
    abortedAtMs: row.aborted_ms,
    attempts: row.attempt,
    code: row.code,
    response: row.response,
    parameters: row.parameters,
    retriedAtMs: row.retried_ms ?? 0,
    payload: row.payload,
  };
}
