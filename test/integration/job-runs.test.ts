// What became of job runs, from the commits that carry it to the answers of the job-status API, on a real PostgreSQL.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../../actors/gateway/answers.ts';
import { createJobRuns, type JobRuns } from '../../actors/gateway/job-runs.ts';
import { Retention } from '../../actors/gateway/retention.ts';
import type { FailedRecord, JobRunDelta } from '../../actors/storage/contract.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';
import { type TestScope, testDatabase } from '../support/database.ts';
import { jobRows, storageFixture } from '../support/storage-fixture.ts';

const place = (destinationId: string, taskRunId = 't1', sourceId = 's1') => ({
  jobRunId: 'run',
  taskRunId,
  sourceId,
  destinationId,
});
const delta = (destinationId: string, counts: Partial<JobRunDelta>): JobRunDelta => ({
  ...place(destinationId),
  in: 0,
  out: 0,
  failed: 0,
  ...counts,
});

async function setup(t: TestScope) {
  const database = await testDatabase(t);
  const storage = storageFixture(database);
  const drained: string[] = [];
  const postgres = database.open();
  const jobRuns = createJobRuns({
    postgres,
    drain: async (jobRunId) => void drained.push(jobRunId),
    log: { warn: assert.fail },
  });
  database.beforeDrop(() => storage.stop());
  const commit = async (counts: JobRunDelta[], failed: FailedRecord[] = [], rows = 1) => {
    const jobs = [{ queue: 'gw' as const, ...jobRows(Array.from({ length: rows }, () => 'p')) }];
    assert.deepEqual(await storage.commit({ jobs, jobRuns: { counts, failed } }), { kind: 'committed' });
  };
  const ask = (call: 'status' | 'deleteStatus' | 'failedRecords' | 'deleteFailedRecords', query = '', run = 'run') =>
    new Promise<Answer>((resolve) => jobRuns[call](run, new URLSearchParams(query), resolve));
  return { jobRuns, commit, ask, drained, postgres };
}

const drain = (jobRuns: JobRuns, run: string) => new Promise<Answer>((resolve) => jobRuns.drain(run, resolve));

test('a run is complete once its source and every destination have got rid of what came in', async (t) => {
  const { commit, ask } = await setup(t);
  assert.deepEqual([(await ask('status')).status, (await ask('status')).body], [404, 'status not found\n']);
  await commit([delta('', { in: 3 })], [], 100);
  await commit([delta('', { out: 2, failed: 1 }), delta('d1', { in: 2 }), delta('d2', { in: 2 })]);
  await commit([delta('d1', { out: 2 }), delta('d2', { out: 1 })]);
  const status = await ask('status');
  assert.equal(status.headers['Cache-Control'], 'no-store');
  const destinations = [
    { id: 'd1', completed: true, stats: { in: 2, out: 2, failed: 0 } },
    { id: 'd2', completed: false, stats: { in: 2, out: 1, failed: 0 } },
  ];
  const source = { id: 's1', completed: false, stats: { in: 3, out: 2, failed: 1 }, destinations };
  assert.deepEqual(JSON.parse(status.body), { id: 'run', tasks: [{ id: 't1', sources: [source] }] });
  assert.deepEqual(
    [(await ask('deleteStatus')).status, (await ask('deleteStatus')).body],
    [400, 'source not completed\n'],
  );
  assert.equal((await ask('status', 'task_run_id=other&task_run_id=t1&source_id=s1')).status, 200);
  assert.equal((await ask('status', 'task_run_id=t1&source_id=other')).status, 404);
  await commit([delta('d2', { failed: 1 })]);
  const [task] = JSON.parse((await ask('status')).body).tasks;
  assert.equal(task.sources[0].completed, true);
  assert.equal((await ask('deleteStatus')).status, 204);
  assert.equal((await ask('status')).status, 404);
});

test('pages of failed records leave out none, whatever order the record ids have between groups', async (t) => {
  const { commit, ask } = await setup(t);
  // The ids of later groups are smaller: a page that went on by id alone would pass them over.
  const records = ['t1', 't2'].flatMap((task, group) =>
    Array.from({ length: 60 }, (_, index): FailedRecord => {
      const recordId = JSON.stringify(group === 0 ? `z${index}` : index);
      return { ...place('d1', task), recordId, code: 400 + group };
    }),
  );
  const large: FailedRecord = { ...place(''), recordId: '12345678901234567890', code: 410 };
  await commit([], [...records, ...records.slice(0, 5), large]);
  const seen: string[] = [];
  let token = '';
  for (let page = 0; page < 20; page += 1) {
    const { body } = await ask('failedRecords', `pageSize=7&pageToken=${token}`);
    seen.push(...[...body.matchAll(/"record":([^,]+),"code":\d+/g)].map(([, record]) => record ?? ''));
    const { paging } = JSON.parse(body);
    if (paging === undefined) break;
    assert.equal(paging.size, 7);
    token = paging.next;
  }
  assert.deepEqual(seen.toSorted(), [...records, large].map(({ recordId }) => recordId).toSorted());
  const refused = await ask('failedRecords', 'pageToken=nonsense');
  assert.deepEqual([refused.status, refused.body], [400, 'rsources: invalid pagination token\n']);
  const unspeakable = Buffer.from(JSON.stringify({ id: ['t', 's', 'd'], record_id: '\0' })).toString('base64url');
  assert.equal((await ask('failedRecords', `pageToken=${unspeakable}`)).status, 400, 'what Postgres cannot spell');
  assert.equal((await ask('failedRecords', 'task_run_id=%00')).status, 200);
  assert.equal((await ask('status', 'source_id=a%00b')).status, 404);
  assert.equal((await ask('failedRecords', 'pageSize=0')).status, 400);
  assert.deepEqual(JSON.parse((await ask('failedRecords', '', 'unknown')).body), { id: 'unknown', tasks: [] });
  assert.equal((await ask('deleteFailedRecords')).status, 204);
  assert.deepEqual(JSON.parse((await ask('failedRecords')).body).tasks, []);
});

test('a run that has not moved for long is forgotten as a whole, one that has is kept as a whole', async (t) => {
  const { commit, ask, postgres } = await setup(t);
  await commit([delta('', { in: 2 }), { ...delta('', { in: 1 }), jobRunId: 'old' }]);
  await commit([], [{ ...place('d1'), jobRunId: 'old', recordId: '1', code: 400 }]);
  await postgres.query(`update sluice_job_run_counts set counted_at = now() - interval '2 hours'`);
  await commit([delta('', { out: 1 })]);
  const times = { jobStatusRetentionMs: 3_600_000, webhookFailureRetentionMs: 3_600_000 };
  const retention = new Retention({ postgres, ...times, clock: new VirtualClock(), log: { warn: assert.fail } });
  await retention.run();
  assert.equal((await ask('status', '', 'old')).status, 404);
  assert.deepEqual(JSON.parse((await ask('failedRecords', '', 'old')).body).tasks, []);
  assert.deepEqual(JSON.parse((await ask('status')).body).tasks[0].sources[0].stats, { in: 2, out: 1, failed: 0 });
  await retention.stop();
});

test('a drain is answered once it is in force', async (t) => {
  const { jobRuns, drained } = await setup(t);
  assert.equal((await drain(jobRuns, 'run')).status, 201);
  assert.deepEqual(drained, ['run']);
});
