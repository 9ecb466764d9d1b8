// Turns the submissions of one group into table writes: assigns job ids in order of arrival, sorts rows into the
// tables of their datasets, writes runs and statuses as rows, adds up the ledger. Pure; lane.ts talks to Postgres.

import type { ArrayElementType } from '../../transport/index.ts';
import type { QueueName } from '../job.ts';
import { minuteOf, type Observation, observationColumns, observationTable } from '../observations/contract.ts';
import type {
  Commit,
  DoneRun,
  EndedStatus,
  JobRunPlace,
  JobRunReport,
  JobStatus,
  LedgerDelta,
  PartitionResults,
  SeenIds,
} from './contract.ts';
import type { DatasetList } from './dataset-list.ts';
import { type Dataset, jobsTable, ledgerTable, statusColumns, statusTable } from './datasets.ts';
import { bufferOver, isSamePartition, jobColumns, patchJobId, readPartition } from './job-row.ts';
import type { StoredRow } from './partition.ts';
import { encodeTuple, field } from './tuples.ts';

/** Rows for one table, as binary COPY tuples. */
export interface TableWrite {
  table: string;
  columns: string;
  /** PostgreSQL types of the columns, for the statement used by small groups. */
  types: readonly ArrayElementType[];
  tuples: Buffer[];
  rows: number;
  bytes: number;
}

/** A stored row and where it belongs: what hand-off needs to know after the commit. */
export interface PlacedRow {
  queue: QueueName;
  partition: string;
  dataset: Dataset;
  row: StoredRow;
}

export interface GroupWrite {
  groupId: number;
  tables: TableWrite[];
  placed: PlacedRow[];
  /** Rows that had ended when they were stored: nobody is handed them. */
  kept: PlacedRow[];
  /** Finished jobs by dataset. */
  finished: Map<Dataset, number>;
  ledger: LedgerDelta[];
  rows: number;
  bytes: number;
}

const jobTypes: readonly ArrayElementType[] = ['int8', 'int8', 'text', 'text', 'text', 'timestamptz', 'text', 'bytea'];
const statusTypes: readonly ArrayElementType[] = [
  'text',
  'int8',
  'int8',
  'int4',
  'text',
  'int4',
  'int4',
  'timestamptz',
  'timestamptz',
  'timestamptz',
  'text',
];
const dedupColumns = 'group_id, partition, window_ms, seen_ms, hashes';
const dedupTypes: readonly ArrayElementType[] = ['int8', 'text', 'int8', 'int8', 'bytea'];
const ledgerColumns = 'group_id, minute, source_id, destination_id, kind, count';
const ledgerTypes: readonly ArrayElementType[] = ['int8', 'int4', 'text', 'text', 'text', 'int8'];

const observationTypes: readonly ArrayElementType[] = ['text', 'int4', 'text', 'int8', 'text', 'bytea'];

const placeColumns = 'job_run_id, task_run_id, source_id, destination_id';
const placeTypes: readonly ArrayElementType[] = ['text', 'text', 'text', 'text'];
const jobRunCounts = {
  table: 'sluice_job_run_counts',
  columns: `${placeColumns}, in_count, out_count, failed_count`,
  types: [...placeTypes, 'int8', 'int8', 'int8'] satisfies readonly ArrayElementType[],
};
const failedRecords = {
  table: 'sluice_failed_records',
  columns: `${placeColumns}, record_id, code`,
  types: [...placeTypes, 'text', 'int4'] satisfies readonly ArrayElementType[],
};

/** The jobs of one `StoredJobs`, split into rows that carry their ids. */
export interface NumberedJobs {
  queue: QueueName;
  /** All rows, one after the other, with their ids. */
  bytes: Buffer;
  rows: { partition: string; row: StoredRow }[];
}

/** Gives every job of `commit` an id, from `firstId` on, in the row bytes themselves. Done once; retries keep the ids. */
export function assignJobIds(
  { commit, offsets: allOffsets }: { commit: Commit; offsets: readonly (readonly number[])[] },
  firstId: number,
): { numbered: NumberedJobs[]; nextId: number } {
  let nextId = firstId;
  const numbered = commit.jobs.map(({ queue, rows }, entry): NumberedJobs => {
    const buffer = bufferOver(rows);
    const offsets = allOffsets[entry] ?? [];
    const split: NumberedJobs['rows'] = [];
    let partition = '';
    for (let index = 0; index + 1 < offsets.length; index += 1) {
      const start = offsets[index] ?? 0;
      patchJobId(buffer, start, nextId);
      // Most rows of a commit are of one partition: the text is decoded once for all of them.
      if (index === 0 || !isSamePartition(buffer, offsets[index - 1] ?? 0, start)) {
        partition = readPartition(buffer, start);
      }
      const row = { jobId: nextId, source: buffer, start, byteLength: (offsets[index + 1] ?? 0) - start };
      split.push({ partition, row });
      nextId += 1;
    }
    return { queue, bytes: buffer, rows: split };
  });
  return { numbered, nextId };
}

/** Up to where an inbox has been taken over once this commit is (inbox-import.ts). */
export interface ImportPosition {
  inbox: number;
  position: number;
}

export interface NumberedCommit {
  commit: Commit;
  imported?: ImportPosition;
  numbered: readonly NumberedJobs[];
}

export interface GroupPlace {
  groupId: number;
  lane: number;
  datasets: ReadonlyMap<QueueName, DatasetList>;
  ledgerNumber: number;
  dedupTable: string;
  nowMs: number;
}

export function buildGroup(commits: readonly NumberedCommit[], place: GroupPlace): GroupWrite {
  const builder = new GroupBuilder(place);
  for (const { commit, numbered, imported } of commits) {
    if (imported !== undefined) builder.addImported(imported);
    for (const [index, jobs] of numbered.entries()) builder.addJobs(jobs, commit.jobs[index]?.ended);
    for (const results of commit.results) builder.addResults(results);
    for (const delta of commit.ledger) builder.addLedger(delta);
    for (const jobId of commit.redriven ?? []) builder.addRedriven(jobId);
    if (commit.jobRuns !== undefined) builder.addJobRuns(commit.jobRuns);
    if (commit.observations !== undefined) builder.addObservations(commit.observations);
  }
  return builder.finish();
}

class GroupBuilder {
  readonly #place: GroupPlace;
  readonly #tables = new Map<string, TableWrite>();
  readonly #placed: PlacedRow[] = [];
  readonly #kept: PlacedRow[] = [];
  readonly #finished = new Map<Dataset, number>();
  readonly #ledger = new Map<string, LedgerDelta>();

  constructor(place: GroupPlace) {
    this.#place = place;
  }

  addJobs(jobs: NumberedJobs, ended: readonly EndedStatus[] = []): void {
    const dataset = this.#datasets(jobs.queue).live;
    if (dataset === undefined) throw new Error(`expected queue ${jobs.queue} to have a live dataset`);
    const table = this.#table(jobsTable(dataset), jobColumns, jobTypes);
    append(table, jobs.bytes, jobs.rows.length);
    for (const [index, { partition, row }] of jobs.rows.entries()) {
      const end = ended[index];
      const list = end === undefined ? this.#placed : this.#kept;
      list.push({ queue: jobs.queue, partition, dataset, row });
      if (end !== undefined) this.#end(dataset, partition, row.jobId, end);
    }
  }

  addResults(results: PartitionResults): void {
    for (const run of results.runs) this.#addRun(results, run);
    for (const status of results.statuses) this.#addStatus(results, status);
    for (const seen of results.seen ?? []) this.#addSeen(results, seen);
  }

  addLedger(delta: LedgerDelta): void {
    const key = `${delta.minute}\n${delta.sourceId}\n${delta.destinationId}\n${delta.kind}`;
    const sum = this.#ledger.get(key);
    if (sum === undefined) this.#ledger.set(key, { ...delta });
    else sum.count += delta.count;
  }

  addImported({ inbox, position }: ImportPosition): void {
    const table = this.#table('sluice_inbox_positions', 'inbox, position', ['int4', 'int8']);
    append(table, encodeTuple([field.int4(inbox), field.int8(position)]));
  }

  /** The primary key of its table refuses a job that was tried again before. */
  addRedriven(jobId: number): void {
    const table = this.#table('sluice_redriven', 'job_id, redriven_at', ['int8', 'timestamptz']);
    append(table, encodeTuple([field.int8(jobId), field.timestamptz(this.#place.nowMs)]));
  }

  addJobRuns({ counts, failed }: JobRunReport): void {
    for (const delta of counts) {
      const table = this.#table(jobRunCounts.table, jobRunCounts.columns, jobRunCounts.types);
      const sums = [field.int8(delta.in), field.int8(delta.out), field.int8(delta.failed)];
      append(table, encodeTuple([...placeFields(delta), ...sums]));
    }
    for (const record of failed) {
      const table = this.#table(failedRecords.table, failedRecords.columns, failedRecords.types);
      append(table, encodeTuple([...placeFields(record), field.text(record.recordId), field.int4(record.code)]));
    }
  }

  addObservations(observations: readonly Observation[]): void {
    const table = this.#table(observationTable(this.#place.nowMs), observationColumns, observationTypes);
    const minute = minuteOf(this.#place.nowMs);
    for (const { topic, labels, count, sample, content } of observations) {
      const head = [field.text(topic), field.int4(minute), field.text(labels), field.int8(count)];
      append(table, encodeTuple([...head, field.text(sample), field.bytea(content)]));
    }
  }

  finish(): GroupWrite {
    const ledger = [...this.#ledger.values()];
    const { lane, ledgerNumber } = this.#place;
    const table = this.#table(ledgerTable(lane, ledgerNumber), ledgerColumns, ledgerTypes);
    for (const delta of ledger) append(table, this.#ledgerTuple(delta));
    // The group's mark: every group leaves at least one ledger row, so that a lost reply can be resolved.
    if (ledger.length === 0) {
      append(table, this.#ledgerTuple({ minute: 0, sourceId: '', destinationId: '', kind: 'processed', count: 0 }));
    }
    const tables = [...this.#tables.values()];
    return {
      groupId: this.#place.groupId,
      tables,
      placed: this.#placed,
      kept: this.#kept,
      finished: this.#finished,
      ledger,
      rows: tables.reduce((sum, one) => sum + one.rows, 0),
      bytes: tables.reduce((sum, one) => sum + one.bytes, 0),
    };
  }

  /** One row per run and dataset: a run never claims jobs of two datasets, because they are dropped separately. */
  #addRun({ queue, partition }: PartitionResults, run: DoneRun): void {
    let afterId = run.afterId;
    let at = 0;
    while (at < run.jobIds.length) {
      const dataset = this.#datasets(queue).containing(run.jobIds[at] ?? 0);
      let end = at + 1;
      while (end < run.jobIds.length && inside(dataset, run.jobIds[end] ?? 0)) end += 1;
      const jobId = run.jobIds[end - 1] ?? 0;
      if (dataset !== undefined) {
        const from = Math.max(afterId, dataset.firstJobId - 1);
        const jobs = end - at;
        const status = { jobId, state: 'succeeded', attempt: 1, code: 200, response: '' } as const;
        this.#appendStatus(dataset, partition, from, jobs, {
          ...status,
          execTimeMs: this.#place.nowMs,
          retryTimeMs: 0,
          firstAttemptedAtMs: 0,
        });
        this.#countFinished(dataset, jobs);
      }
      afterId = jobId;
      at = end;
    }
  }

  #addStatus({ queue, partition }: PartitionResults, status: JobStatus): void {
    const dataset = this.#datasets(queue).containing(status.jobId);
    if (dataset === undefined) return;
    this.#appendStatus(dataset, partition, status.jobId - 1, 1, status);
    if (status.state === 'succeeded' || status.state === 'aborted' || status.state === 'filtered') {
      this.#countFinished(dataset, 1);
    }
  }

  #end(dataset: Dataset, partition: string, jobId: number, end: EndedStatus): void {
    const status = { ...end, jobId, attempt: 1, retryTimeMs: 0, firstAttemptedAtMs: end.execTimeMs };
    this.#appendStatus(dataset, partition, jobId - 1, 1, status);
    this.#countFinished(dataset, 1);
  }

  #appendStatus(dataset: Dataset, partition: string, afterId: number, jobs: number, status: JobStatus): void {
    const table = this.#table(statusTable(dataset), statusColumns, statusTypes);
    const tuple = encodeTuple([
      field.text(partition),
      field.int8(afterId),
      field.int8(status.jobId),
      field.int4(jobs),
      field.text(status.state),
      field.int4(status.attempt),
      field.int4(status.code),
      field.timestamptz(status.execTimeMs),
      field.timestamptz(status.retryTimeMs),
      field.timestamptz(status.firstAttemptedAtMs),
      field.text(status.response),
    ]);
    append(table, tuple);
  }

  #addSeen({ partition }: PartitionResults, { windowMs, seenMs, hashes }: SeenIds): void {
    const table = this.#table(this.#place.dedupTable, dedupColumns, dedupTypes);
    const { groupId } = this.#place;
    const fields = [field.int8(groupId), field.text(partition), field.int8(windowMs), field.int8(seenMs)];
    append(table, encodeTuple([...fields, field.bytea(hashes)]));
  }

  #ledgerTuple(delta: LedgerDelta): Buffer {
    return encodeTuple([
      field.int8(this.#place.groupId),
      field.int4(delta.minute),
      field.text(delta.sourceId),
      field.text(delta.destinationId),
      field.text(delta.kind),
      field.int8(delta.count),
    ]);
  }

  #countFinished(dataset: Dataset, jobs: number): void {
    this.#finished.set(dataset, (this.#finished.get(dataset) ?? 0) + jobs);
  }

  #datasets(queue: QueueName): DatasetList {
    const datasets = this.#place.datasets.get(queue);
    if (datasets === undefined) throw new Error(`expected queue ${queue} to be known`);
    return datasets;
  }

  #table(table: string, columns: string, types: readonly ArrayElementType[]): TableWrite {
    let write = this.#tables.get(table);
    if (write === undefined) {
      write = { table, columns, types, tuples: [], rows: 0, bytes: 0 };
      this.#tables.set(table, write);
    }
    return write;
  }
}

function placeFields({ jobRunId, taskRunId, sourceId, destinationId }: JobRunPlace) {
  return [field.text(jobRunId), field.text(taskRunId), field.text(sourceId), field.text(destinationId)];
}

function inside(dataset: Dataset | undefined, jobId: number): boolean {
  if (dataset === undefined) return false;
  return jobId >= dataset.firstJobId && (dataset.lastJobId === 0 || jobId <= dataset.lastJobId);
}

function append(table: TableWrite, tuples: Buffer, rows = 1): void {
  table.tuples.push(tuples);
  table.rows += rows;
  table.bytes += tuples.byteLength;
}
