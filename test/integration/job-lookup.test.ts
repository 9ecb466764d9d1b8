// Where is my event: every state a job can be in is told, with its attempts, by message, by job and by parent, also for
// jobs that were moved to another dataset, and in words by `sluice job`.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { AdminRequest } from '../../actors/admin/contract.ts';
import { runJobCommand } from '../../actors/job-command.ts';
import { jobRoutes } from '../../actors/job-routes.ts';
import type { JobFound, JobsFound, WantedJobs } from '../../actors/storage/contract.ts';
import { testDatabase } from '../support/database.ts';
import { jobRows, statusOf, storageFixture } from '../support/storage-fixture.ts';

const parameters = JSON.stringify({ destination_id: 'shop', request: { endpoint: 'https://shop.example/in' } });

async function setup(t: TestContext) {
  const database = await testDatabase(t);
  const settings = { datasetAgeMs: 0, residuePercentMax: 100 };
  const fixture = storageFixture(database, settings);
  const lookUp = async (wanted: WantedJobs): Promise<JobFound[]> => {
    const found = await fixture.storage.ask<JobsFound>({ kind: 'lookUpJobs', wanted }, { timeoutMs: 20_000 });
    if (found.kind === 'lookUpFailed') throw new Error(found.reason);
    return found.jobs;
  };
  return { database, fixture, lookUp };
}

/** One `gw` job that became five `rt` jobs: succeeded, failed, aborted, and two not tried yet. */
async function liveOneEvent({ fixture }: Awaited<ReturnType<typeof setup>>) {
  await fixture.commit({ jobs: [{ queue: 'gw', ...jobRows(['source'], { messageId: 'order-7' }) }] });
  fixture.open('gw', 'source', 1);
  const [event] = (await fixture.holds('gw', 'source', 1)).handed;
  assert.ok(event);
  const fields = { messageId: 'order-7', parentId: event.jobId, parameters };
  await fixture.commit({
    jobs: [{ queue: 'rt', ...jobRows(['shop', 'shop', 'shop', 'shop', 'other'], fields) }],
    results: [fixture.results('gw', 'source', { runs: [{ afterId: 0, jobIds: [event.jobId] }] })],
  });
  fixture.open('rt', 'shop', 4);
  const ids = (await fixture.holds('rt', 'shop', 4)).handed.map((job) => job.jobId);
  const [done = 0, retried = 0, refused = 0] = ids;
  const refusal = statusOf(refused, { state: 'aborted', code: 400, response: 'no such order' });
  const failure = statusOf(retried, { code: 503, response: 'busy' });
  await fixture.commit({
    results: [fixture.results('rt', 'shop', { runs: [{ afterId: 0, jobIds: [done] }], statuses: [failure, refusal] })],
  });
  return event.jobId;
}

test('every job of an event is found with its state and its attempts', async (t) => {
  const context = await setup(t);
  const eventId = await liveOneEvent(context);
  const states = async (wanted: WantedJobs) =>
    (await context.lookUp(wanted)).map((job) => [job.queue, job.state, job.isHandedOut, job.attempts.length]);
  const made = [
    ['rt', 'succeeded', false, 1],
    ['rt', 'failed', true, 1],
    ['rt', 'aborted', false, 1],
    ['rt', 'pending', true, 0],
    ['rt', 'pending', false, 0],
  ];
  assert.deepEqual(await states({ parentId: eventId }), made);
  assert.deepEqual(await states({ messageId: 'order-7' }), [['gw', 'succeeded', false, 1], ...made]);
  assert.deepEqual(await states({ jobId: eventId }), [['gw', 'succeeded', false, 1]]);
  assert.deepEqual(await states({ messageId: 'order-8' }), []);
});

test('a job that was moved is found once, with what its destination said before', async (t) => {
  const context = await setup(t);
  const eventId = await liveOneEvent(context);
  const before = await context.lookUp({ parentId: eventId });
  await context.fixture.maintain();
  await context.fixture.maintain();
  const postgres = context.database.open();
  const { rows } = await postgres.query<{ indexes: number; residues: number }>(
    `select (select count(*) from pg_indexes where indexname ~ '_(message|user|parent|job)$')::int as indexes,
            (select count(*) from sluice_datasets where is_residue)::int as residues`,
  );
  assert.ok((rows[0]?.residues ?? 0) > 0 && (rows[0]?.indexes ?? 0) >= 4, JSON.stringify(rows));
  assert.deepEqual(await context.lookUp({ parentId: eventId }), before);
  const shop = before.filter((job) => job.partition === 'shop');
  const failed = shop.find((job) => job.state === 'failed');
  assert.ok(failed);
  await context.fixture.commit({
    results: [
      context.fixture.results('rt', 'shop', {
        statuses: [statusOf(failed.jobId, { state: 'aborted', attempt: 2, code: 410, execTimeMs: 1_790_000_020_000 })],
      }),
    ],
  });
  const [job] = await context.lookUp({ jobId: failed.jobId });
  assert.equal(job?.state, 'aborted');
  assert.deepEqual(
    job?.attempts.map(({ attempt, code, response }) => [attempt, code, response]),
    [
      [1, 503, 'busy'],
      [2, 410, '{}'],
    ],
  );
});

test('the command tells the life of an event in words, and says when there is none', async (t) => {
  const context = await setup(t);
  await liveOneEvent(context);
  const database = {
    postgres: context.database.open(),
    address: context.database.address,
    description: 'test',
    dataDirectory: undefined,
  };
  const nowMs = 1_790_000_005_000;
  const found = await runJobCommand({ messageId: 'order-7', json: false }, database, nowMs);
  assert.equal(found.exitCode, 0);
  for (const line of [
    /^Event order-7, received 2026-09-21 .* source source\)$/m,
    /^ {2}to destination shop at https:\/\/shop\.example\/in \(job \d+, rt\)$/m,
    /failed 1 times; the next attempt comes in 5\.0 s$/m,
    /attempt 1 {2}aborted {2}400 {2}no such order$/m,
    /waits for its turn for 5\.0 s$/m,
  ]) {
    assert.match(found.out, line);
  }
  const json = JSON.parse((await runJobCommand({ messageId: 'order-7', json: true }, database, nowMs)).out);
  assert.equal(json.jobs.length, 6);
  const missing = await runJobCommand({ messageId: 'nobody', json: false }, database, nowMs);
  assert.equal(missing.exitCode, 1);
  assert.match(missing.out, /No job of message "nobody" is kept/);
});

test('the admin server answers for jobs, and refuses what names none', async (t) => {
  const context = await setup(t);
  const eventId = await liveOneEvent(context);
  const [byQuery, byId] = jobRoutes(context.lookUp);
  assert.ok(byQuery && byId);
  const request = (query: string, id = ''): AdminRequest => ({
    params: { id },
    query: new URLSearchParams(query),
    body: async () => Buffer.alloc(0),
    json: async () => ({}),
  });
  const listed = await byQuery.handle(request('messageId=order-7'));
  assert.ok('json' in listed);
  assert.equal(JSON.parse(JSON.stringify(listed.json)).jobs.length, 6);
  const one = await byId.handle(request('', String(eventId)));
  assert.ok('json' in one);
  const { made, state } = JSON.parse(JSON.stringify(one.json));
  assert.deepEqual([state, made.length, made[0].parameters.destination_id], ['succeeded', 5, 'shop']);
  await assert.rejects(async () => byQuery.handle(request('')), { status: 400 });
  await assert.rejects(async () => byId.handle(request('', '1x')), { status: 400 });
  await assert.rejects(async () => byId.handle(request('', '999')), { status: 404 });
});
