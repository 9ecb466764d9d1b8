// The job-status API of reverse ETL: what became of the events of one job run, and which records were given up. The
// numbers are written by storage, in the transactions that store and finish the jobs; here they are only added up.

import type { ActorLog } from '../../runtime/index.ts';
import type { Postgres } from '../../transport/index.ts';
import { type Answer, answers, jsonAnswer, refusalOf, textAnswer } from './answers.ts';
import { sanitise } from './event-text.ts';
import type { AnswerWith } from './ingest.ts';

export interface JobRuns {
  status(jobRunId: string, query: URLSearchParams, answerWith: AnswerWith): void;
  deleteStatus(jobRunId: string, query: URLSearchParams, answerWith: AnswerWith): void;
  failedRecords(jobRunId: string, query: URLSearchParams, answerWith: AnswerWith): void;
  deleteFailedRecords(jobRunId: string, query: URLSearchParams, answerWith: AnswerWith): void;
  drain(jobRunId: string, answerWith: AnswerWith): void;
}

export interface JobRunsOptions {
  postgres: Pick<Postgres, 'query'>;
  /** Gives up the pending jobs of a run and those that still come. */
  drain(jobRunId: string): Promise<void>;
  log: Pick<ActorLog, 'warn'>;
}

/** Of one answer, whatever the client asks for; the next page has its token. */
const recordsMax = 10_000;
const noStore = { 'Cache-Control': 'no-store' };
const notFound = refusalOf(404, 'status not found');
const notCompleted = refusalOf(400, 'source not completed');
const invalidToken = refusalOf(400, 'rsources: invalid pagination token');
const invalidPageSize = refusalOf(400, `expected pageSize to be an integer from 1 to ${recordsMax}`);
const done: Answer = { status: 204, headers: {}, body: '' };
const created = textAnswer(201, 'text/plain; charset=utf-8', '');

export function createJobRuns(options: JobRunsOptions): JobRuns {
  const { postgres, log } = options;
  const answer = (work: () => Promise<Answer>, answerWith: AnswerWith): void => {
    const failed = (error: unknown): Answer => {
      log.warn({ error }, 'the job-status API could not read or write the database');
      return answers.unavailable;
    };
    // Both ways end here; an answer does not throw.
    void work().then(answerWith, (error: unknown) => answerWith(failed(error)));
  };
  return {
    status: (jobRunId, query, answerWith) =>
      answer(async () => {
        const tasks = await readTasks(postgres, jobRunId, query);
        return tasks.length === 0 ? notFound : jsonAnswer({ id: jobRunId, tasks }, 200, noStore);
      }, answerWith),
    deleteStatus: (jobRunId, query, answerWith) =>
      answer(async () => {
        const tasks = await readTasks(postgres, jobRunId, query);
        if (tasks.length === 0) return notFound;
        if (tasks.some(({ sources }) => sources.some(({ completed }) => !completed))) return notCompleted;
        await deleteRows(postgres, 'sluice_job_run_counts', jobRunId, query);
        await deleteRows(postgres, 'sluice_failed_records', jobRunId, query);
        return done;
      }, answerWith),
    failedRecords: (jobRunId, query, answerWith) =>
      answer(() => failedRecordsAnswer(postgres, jobRunId, query), answerWith),
    deleteFailedRecords: (jobRunId, query, answerWith) =>
      answer(async () => {
        await deleteRows(postgres, 'sluice_failed_records', jobRunId, query);
        return done;
      }, answerWith),
    drain: (jobRunId, answerWith) =>
      answer(async () => {
        await options.drain(jobRunId);
        return created;
      }, answerWith),
  };
}

interface Stats {
  in: number;
  out: number;
  failed: number;
}

interface Counted {
  id: string;
  completed: boolean;
  stats: Stats;
}

interface TaskStatus {
  id: string;
  sources: (Counted & { destinations: Counted[] | null })[];
}

interface CountRow extends Stats {
  task: string;
  source: string;
  destination: string;
}

/** Sums by task, source and destination of one run; filters are alternatives within a name, and all names must match. */
const whereRun = `job_run_id = $1 and ($2::text[] = '{}' or task_run_id = any($2))
  and ($3::text[] = '{}' or source_id = any($3))`;

function runValues(jobRunId: string, query: URLSearchParams): [string, string[], string[]] {
  const texts = (name: string): string[] => query.getAll(name).map(sanitise);
  return [jobRunId, texts('task_run_id'), texts('source_id')];
}

async function readTasks(
  postgres: Pick<Postgres, 'query'>,
  jobRunId: string,
  query: URLSearchParams,
): Promise<TaskStatus[]> {
  const { rows } = await postgres.query<CountRow>(
    `select task_run_id as task, source_id as source, destination_id as destination,
            sum(in_count)::bigint as in, sum(out_count)::bigint as out, sum(failed_count)::bigint as failed
       from sluice_job_run_counts where ${whereRun}
      group by 1, 2, 3 order by 1, 2, 3`,
    runValues(jobRunId, query),
  );
  return tasksOf(rows);
}

/** Exported for its test. */
export function tasksOf(rows: readonly CountRow[]): TaskStatus[] {
  const tasks: TaskStatus[] = [];
  for (const row of rows) {
    const task = lastWithId(tasks, row.task, { id: row.task, sources: [] });
    const none: Stats = { in: 0, out: 0, failed: 0 };
    const source = lastWithId(task.sources, row.source, {
      ...countedOf(row.source, none),
      destinations: null as Counted[] | null,
    });
    if (row.destination === '') Object.assign(source, countedOf(row.source, row));
    else {
      source.destinations ??= [];
      source.destinations.push(countedOf(row.destination, row));
    }
  }
  for (const { sources } of tasks) {
    for (const source of sources) source.completed &&= (source.destinations ?? []).every(({ completed }) => completed);
  }
  return tasks;
}

/** Rows come in order, so that what a row belongs to is the last one or new. */
function lastWithId<Item extends { id: string }>(items: Item[], id: string, fresh: Item): Item {
  const last = items.at(-1);
  if (last?.id === id) return last;
  items.push(fresh);
  return fresh;
}

/** More went out than came in only when counters were deleted meanwhile: then at least as much came in. */
function countedOf(id: string, stats: Stats): Counted {
  const ended = Number(stats.out) + Number(stats.failed);
  const came = Math.max(Number(stats.in), ended);
  return {
    id,
    completed: came === ended,
    stats: { in: came, out: Number(stats.out), failed: Number(stats.failed) },
  };
}

interface RecordRow {
  task: string;
  source: string;
  destination: string;
  record: string;
  code: number;
}

/** Where a page ends: the place of its last record, all of it, so that the next one begins right behind. */
type PagePlace = readonly [task: string, source: string, destination: string, record: string];

async function failedRecordsAnswer(
  postgres: Pick<Postgres, 'query'>,
  jobRunId: string,
  query: URLSearchParams,
): Promise<Answer> {
  const size = Number(query.get('pageSize') ?? recordsMax);
  if (!Number.isInteger(size) || size < 1 || size > recordsMax) return invalidPageSize;
  const token = query.get('pageToken') ?? '';
  const after = token === '' ? undefined : readToken(token);
  if (token !== '' && after === undefined) return invalidToken;
  const { rows } = await postgres.query<RecordRow>(
    `select distinct on (task_run_id, source_id, destination_id, record_id)
            task_run_id as task, source_id as source, destination_id as destination, record_id as record, code
       from sluice_failed_records
      where ${whereRun} and ($4::text[] is null
         or (task_run_id, source_id, destination_id, record_id) > (($4::text[])[1], ($4::text[])[2], ($4::text[])[3], ($4::text[])[4]))
      order by task_run_id, source_id, destination_id, record_id, failed_at desc
      limit $5`,
    [...runValues(jobRunId, query), after ?? null, size],
  );
  const last = rows.at(-1);
  const paging =
    rows.length < size || last === undefined
      ? ''
      : `,"paging":${JSON.stringify({ size, next: writeToken([last.task, last.source, last.destination, last.record]) })}`;
  // Record ids are JSON texts already: they are put in as they are, with all digits of their numbers.
  const body = `{"id":${JSON.stringify(jobRunId)},"tasks":${recordTasksJson(rows)}${paging}}`;
  return { ...jsonAnswer({}, 200, noStore), body };
}

/** Exported for its test. */
export function recordTasksJson(rows: readonly RecordRow[]): string {
  return groupJson(
    rows,
    ({ task }) => task,
    (inTask, task) => {
      const sources = groupJson(
        inTask,
        ({ source }) => source,
        (inSource, source) => {
          const own = inSource.filter(({ destination }) => destination === '');
          const others = inSource.filter(({ destination }) => destination !== '');
          const destinations = groupJson(
            others,
            ({ destination }) => destination,
            (records, destination) => `{"id":${JSON.stringify(destination)},"records":${recordsJson(records)}}`,
          );
          return `{"id":${JSON.stringify(source)},"records":${recordsJson(own)},"destinations":${destinations}}`;
        },
      );
      return `{"id":${JSON.stringify(task)},"sources":${sources}}`;
    },
  );
}

function groupJson(
  rows: readonly RecordRow[],
  keyOf: (row: RecordRow) => string,
  print: (rows: readonly RecordRow[], key: string) => string,
): string {
  const groups = new Map<string, RecordRow[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group === undefined) groups.set(keyOf(row), [row]);
    else group.push(row);
  }
  return `[${[...groups].map(([key, group]) => print(group, key)).join(',')}]`;
}

function recordsJson(rows: readonly RecordRow[]): string {
  return `[${rows.map(({ record, code }) => `{"record":${record},"code":${code}}`).join(',')}]`;
}

function writeToken(place: PagePlace): string {
  const [task, source, destination, record] = place;
  return Buffer.from(JSON.stringify({ id: [task, source, destination], record_id: record })).toString('base64url');
}

function readToken(token: string): PagePlace | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    const { id, record_id: record } = value as { id?: unknown; record_id?: unknown };
    const parts: unknown[] = Array.isArray(id) ? [...id, record] : [];
    const [task, source, destination, last] = parts.filter((part) => typeof part === 'string');
    if (parts.some((part) => typeof part === 'string' && part.includes('\u0000'))) return undefined;
    if (parts.length !== 4 || task === undefined || source === undefined) return undefined;
    return destination === undefined || last === undefined ? undefined : [task, source, destination, last];
  } catch {
    return undefined;
  }
}

async function deleteRows(
  postgres: Pick<Postgres, 'query'>,
  table: string,
  jobRunId: string,
  query: URLSearchParams,
): Promise<void> {
  await postgres.query(`delete from ${table} where ${whereRun}`, runValues(jobRunId, query));
}
