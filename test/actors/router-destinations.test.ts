// What the router actor knows about its destinations: a breaker that outlives a rest, rules for answers, jobs too old, a
// user freed from a job that fails. Real runtime, virtual time, no network.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { NewJob } from '../support/memory-storage.ts';
import { type VirtualOptions, VirtualPipeline } from '../support/virtual-pipeline.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

function setup(t: TestContext, config: Record<string, unknown> = {}, options: VirtualOptions = {}): VirtualPipeline {
  const sources = [makeSource('src', [makeDestination('d1', { config: { webhookUrl: 'http://h/', ...config } })])];
  const run = new VirtualPipeline({ sources, ...options });
  t.after(() => assert.deepEqual(run.storage.violations, []));
  return run;
}

let sequence = 0;

function job(user: string, parameters: Record<string, unknown> = {}, changes: Partial<NewJob> = {}): NewJob {
  sequence += 1;
  return {
    partition: 'd1',
    userId: `<<>>${user}<<>>`,
    parameters: {
      source_id: 'src',
      destination_id: 'd1',
      workspace_id: 'ws-1',
      ...parameters,
      request: { endpoint: 'http://h/' },
    },
    payload: { userId: user, sequence },
    ...changes,
  };
}

async function finish(run: VirtualPipeline): Promise<void> {
  await run.until('all jobs finished', () => run.storage.unfinished('rt').length === 0);
}

const residents = (run: VirtualPipeline): number => run.system('actors').stats().actorsByKind.router ?? 0;

test('a router that rests does not forget that its destination is down', async (t) => {
  const run = setup(t, {}, { settings: { router: { breakerFailures: 5, idleMs: 1_000 } } });
  const until = { code: 503, retryAfterMs: 300_000 };
  run.destinations.answer = () => until;
  run.add(
    'rt',
    Array.from({ length: 10 }, (_none, index) => job(`u${index}`)),
  );
  await run.until('all to have failed', () => run.storage.inState('rt', 'failed').length === 10);
  await run.until('the router to rest', () => residents(run) === 0);
  assert.deepEqual(
    run.found.map(({ isDown }) => isDown),
    [true],
    'it stays down meanwhile',
  );
  const tried = run.destinations.requests.length;
  await run.until('the next attempt', () => run.destinations.requests.length > tried);
  await run.advance(500);
  assert.equal(run.destinations.requests.length, tried + 1, 'one probe, not ten requests');
  run.destinations.answer = () => 200;
  await finish(run);
  assert.equal(run.found.at(-1)?.isDown, false);
});

test('what an answer means is what the rules of its destination say', async (t) => {
  const responseRules = [
    { status: 409, outcome: 'succeed', reason: 'it is there already' },
    { status: 200, body: { path: 'ok', equals: [false] }, outcome: 'abort' },
  ];
  const run = setup(t, { responseRules });
  run.destinations.answer = ({ event, request }) => {
    if (event.userId === 'there') return { code: 409, headers: {} };
    return { code: 200, headers: {}, response: request.keepsAnswer ? '{"ok":false}' : '' };
  };
  run.add('rt', [job('there'), job('refused')]);
  await finish(run);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 1);
  const [aborted] = run.storage.inState('rt', 'aborted');
  assert.equal(aborted?.status?.code, 400);
  assert.match(JSON.parse(aborted?.status?.response ?? '').rule, /^200 counts as abort/);
});

test('a job of a run is given up sooner, one that is too old unsent, and each destination has its own limits', async (t) => {
  const run = setup(
    t,
    { delivery: { attemptsMax: 2, jobAgeMsMax: 86_400_000 } },
    { settings: { router: { retryBackoffMsMin: 30_000, retryBackoffMsMax: 30_000 } } },
  );
  run.destinations.answer = () => ({ code: 503, retryAfterMs: 30_000 });
  const old = { receivedAtMs: Date.UTC(2025, 11, 30) };
  run.add('rt', [job('plain'), job('of-run', { source_job_run_id: 'run-1' }), job('old', {}, old)]);
  await run.until('two given up', () => run.storage.inState('rt', 'aborted').length === 2);
  const aborted = run.storage.inState('rt', 'aborted').map(({ job: { userId }, status }) => {
    return [userId, status?.attempt, JSON.parse(status?.response ?? '').reason];
  });
  assert.deepEqual(aborted, [
    ['<<>>of-run<<>>', 3, 'retry limit reached'],
    ['<<>>old<<>>', 0, 'job expired'],
  ]);
  run.destinations.answer = () => 200;
  await finish(run);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 1);
});

test('a job that waits for its retry is given up by its id at once, and its user goes on', async (t) => {
  const run = setup(t, {}, { settings: { router: { retryBackoffMsMin: 300_000, idleMs: 600_000 } } });
  run.destinations.answer = () => (run.destinations.requests.length === 1 ? { code: 503, retryAfterMs: 300_000 } : 200);
  run.add('rt', [job('ann'), job('ann'), job('ben')]);
  await run.until('the failure', () => run.storage.inState('rt', 'failed').length === 1);
  await run.advance(1_000);
  const jobId = run.storage.inState('rt', 'failed')[0]?.job.jobId ?? 0;
  const rule = { id: 1, destinationId: '', sourceId: '', jobRunId: '', jobId, receivedBeforeMs: 0, reason: 'released' };
  run.controls.publish({ paused: [], drains: [{ ...rule, sinceMs: 1 }] });
  await run.until('all jobs finished', () => run.storage.unfinished('rt').length === 0, 1_000);
  assert.equal(run.storage.counted('aborted', 'src', 'd1'), 1);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 2);
});

test('bytes on their way to a destination are bounded, and one request always goes', async (t) => {
  const run = setup(t, { delivery: { bytesInFlightMax: 1_000 } });
  run.destinations.answer = () => 'hold';
  const payload = { text: 'x'.repeat(600) };
  run.add('rt', [
    job('a', {}, { payload }),
    job('b', {}, { payload }),
    job('c', {}, { payload }),
    job('d', {}, { payload: { text: 'x'.repeat(5_000) } }),
  ]);
  await run.advance(100);
  assert.equal(run.destinations.heldCount, 2);
  run.destinations.answer = () => 200;
  run.destinations.release();
  await finish(run);
  assert.equal(run.destinations.delivered().length, 4);
});
