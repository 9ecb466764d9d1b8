// The pure parts of the write path: ids, tables, runs across datasets, ledger sums; and what recovery concludes from runs.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Commit, DoneRun } from '../../actors/storage/contract.ts';
import { DatasetList } from '../../actors/storage/dataset-list.ts';
import { type Dataset, newDataset } from '../../actors/storage/datasets.ts';
import { assignJobIds, buildGroup } from '../../actors/storage/group.ts';
import { insertStatement } from '../../actors/storage/group-writer.ts';
import { JobRowWriter, readJobs, rowOffsets } from '../../actors/storage/job-row.ts';
import { addInterval, isCovered } from '../../actors/storage/recovery.ts';

function dataset(number: number, firstJobId: number, lastJobId: number): Dataset {
  return newDataset({ lane: 0, queue: 'gw', number, firstJobId, lastJobId, createdAtMs: 0 });
}

function place(...datasets: Dataset[]) {
  return {
    groupId: 900,
    lane: 0,
    datasets: new Map([['gw' as const, new DatasetList({ lane: 0, queue: 'gw' }, datasets)]]),
    dedupTable: 'sluice_dedup_1',
    ledgerNumber: 1,
    nowMs: 5,
  };
}

function commitOf(partitions: readonly string[]): Commit {
  const writer = new JobRowWriter();
  for (const partition of partitions) {
    writer.append(
      {
        jobId: 0,
        parentId: 7,
        partition,
        userId: 'ü<<>>a<<>>',
        messageId: 'm',
        receivedAtMs: 1_732_000_000_123,
        parameters: '{}',
      },
      [Buffer.from('{"a":'), Buffer.from('1}')],
    );
  }
  return { kind: 'commit', jobs: [{ queue: 'gw', ...writer.take() }], results: [], ledger: [] };
}

function numbered(commit: Commit, firstId: number) {
  const offsets = commit.jobs.map((one) => rowOffsets(one.rows));
  return { commit, ...assignJobIds({ commit, offsets }, firstId) };
}

test('job rows keep every field, and ids are given in order of arrival', () => {
  const firstId = 2 ** 44 + 5;
  const { commit, nextId } = numbered(commitOf(['a', 'b', 'a']), firstId);
  assert.equal(nextId, firstId + 3);
  const jobs = readJobs(commit.jobs[0]?.rows ?? new Uint8Array());
  assert.deepEqual(
    jobs.map((job) => [job.jobId, job.partition]),
    [
      [firstId, 'a'],
      [firstId + 1, 'b'],
      [firstId + 2, 'a'],
    ],
  );
  const [job] = jobs;
  assert.equal(job?.userId, 'ü<<>>a<<>>');
  assert.equal(job?.receivedAtMs, 1_732_000_000_123);
  assert.equal(job?.parentId, 7);
  assert.equal(Buffer.from(job?.payload ?? []).toString(), '{"a":1}');
});

test('job rows round-trip whatever text and bytes they hold', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(2 ** 40),
      (text, payload, jobId) => {
        const writer = new JobRowWriter(16);
        const job = {
          jobId,
          parentId: jobId,
          partition: text,
          userId: text,
          messageId: '',
          receivedAtMs: jobId,
          parameters: text,
        };
        writer.append(job, [payload.subarray(0, 3), payload.subarray(3)]);
        const [read] = readJobs(writer.take().rows);
        assert.deepEqual({ ...read, payload: [...(read?.payload ?? [])] }, { ...job, payload: [...payload] });
      },
    ),
  );
});

test('bytes that are not job rows are refused before they reach a group', () => {
  assert.throws(() => rowOffsets(Buffer.from([0, 3, 0, 0])), /8 fields/);
});

test('a run that spans two datasets becomes one status row in each', () => {
  const group = buildGroup(
    [
      {
        commit: {
          kind: 'commit',
          jobs: [],
          results: [
            { queue: 'gw', partition: 'a', session: 1, runs: [{ afterId: 3, jobIds: [5, 8, 12, 15] }], statuses: [] },
          ],
          ledger: [],
        },
        numbered: [],
      },
    ],
    place(dataset(1, 1, 10), dataset(2, 11, 0)),
  );
  assert.deepEqual(
    group.tables.map((table) => [table.table, table.rows]),
    [
      ['gw_status_1', 1],
      ['gw_status_2', 1],
      ['sluice_ledger_1', 1],
    ],
  );
  assert.deepEqual([...group.finished.values()], [2, 2]);
});

test('ledger deltas of a group are added up, and a group without any still leaves its mark', () => {
  const delta = { minute: 1, sourceId: 's', destinationId: '', kind: 'accepted' as const };
  const commit: Commit = { kind: 'commit', jobs: [], results: [], ledger: [{ ...delta, count: 2 }] };
  const group = buildGroup(
    [
      { commit, numbered: [] },
      { commit: { ...commit, ledger: [{ ...delta, count: 3 }] }, numbered: [] },
    ],
    place(dataset(1, 1, 0)),
  );
  assert.deepEqual(group.ledger, [{ ...delta, count: 5 }]);
  assert.equal(group.tables.find((table) => table.table === 'sluice_ledger_1')?.rows, 1);
  const empty = buildGroup([{ commit: { ...commit, ledger: [] }, numbered: [] }], place(dataset(1, 1, 0)));
  assert.equal(empty.tables.find((table) => table.table === 'sluice_ledger_1')?.rows, 1);
});

test('recovery finds exactly the jobs that no run covers, in whatever runs they were finished', () => {
  const scenario = fc
    .uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 60 })
    .chain((ids) =>
      fc.tuple(
        fc.constant(ids.sort((a, b) => a - b)),
        fc.array(fc.boolean(), { minLength: ids.length, maxLength: ids.length }),
      ),
    );
  fc.assert(
    fc.property(scenario, ([ids, done]) => {
      const runs: DoneRun[] = [];
      for (const [index, jobId] of ids.entries()) {
        if (done[index] !== true) continue;
        const afterId = ids[index - 1] ?? 0;
        const last = runs.at(-1);
        if (last?.jobIds.at(-1) === afterId && index > 0) last.jobIds.push(jobId);
        else runs.push({ afterId, jobIds: [jobId] });
      }
      const intervals: { afterId: number; jobId: number }[] = [];
      for (const run of runs) addInterval(intervals, { afterId: run.afterId, jobId: run.jobIds.at(-1) ?? 0 });
      for (const [index, jobId] of ids.entries()) assert.equal(isCovered(intervals, jobId), done[index] === true);
    }),
  );
});

test('statements for different tables differ within the 63 bytes that Postgres looks at', () => {
  const tables = (ledger: number) =>
    ['gw_jobs_1', 'rt_jobs_1', 'gw_status_1', 'rt_status_1', `sluice_ledger_${ledger}`].map((table) => ({
      table,
      columns: 'job_id',
      types: ['int8' as const],
    }));
  const [one, two] = [insertStatement(tables(1)), insertStatement(tables(2))];
  assert.notEqual(one.name.slice(0, 63), two.name.slice(0, 63));
  assert.equal(insertStatement(tables(1)), one, 'the same tables are prepared once');
});
