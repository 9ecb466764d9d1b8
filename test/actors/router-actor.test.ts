// The router actor over the storage model: order, retries in virtual time, what a lost session or thread may cost, and
// how it stops. Real runtime, no network.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { seededRandom } from '../../runtime/seams.ts';
import type { NewJob } from '../support/memory-storage.ts';
import { findOvertaking } from '../support/order-checker.ts';
import { type VirtualOptions, VirtualPipeline } from '../support/virtual-pipeline.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

const sources = [makeSource('src', [makeDestination('d1'), makeDestination('d2')])];

function setup(t: TestContext, options: VirtualOptions = {}): VirtualPipeline {
  const run = new VirtualPipeline({ sources, ...options });
  t.after(() => assert.deepEqual(run.storage.violations, []));
  return run;
}

let sequence = 0;

function job(user: string, changes: Partial<NewJob> = {}, destination = 'd1'): NewJob {
  sequence += 1;
  return {
    partition: destination,
    userId: `<<>>${user}<<>>`,
    receivedAtMs: Date.UTC(2026, 0, 1),
    parameters: {
      source_id: 'src',
      destination_id: destination,
      workspace_id: 'ws-1',
      request: { method: 'POST', endpoint: 'http://h/', headers: {}, params: {}, format: 'JSON' },
    },
    payload: { userId: user, sequence },
    ...changes,
  };
}

/** `count` jobs of `users` users in turn. */
function jobs(count: number, users: number): NewJob[] {
  return Array.from({ length: count }, (_none, index) => job(`u${index % users}`));
}

async function finish(run: VirtualPipeline): Promise<void> {
  await run.until('all jobs finished', () => run.storage.unfinished('rt').length === 0);
}

function attemptsOf(run: VirtualPipeline): { userId: string; sequence: number }[] {
  return run.destinations.requests.map(({ event }) => ({
    userId: String(event.userId),
    sequence: Number(event.sequence),
  }));
}

/** Requests that succeeded, by idempotency key, more than once. */
function duplicates(run: VirtualPipeline): string[] {
  const seen = new Set<string>();
  return run.destinations.delivered().flatMap(({ request: { idempotencyKey } }) => {
    if (seen.has(idempotencyKey)) return [idempotencyKey];
    seen.add(idempotencyKey);
    return [];
  });
}

test('every job is delivered once, under a key of its own, and counted', async (t) => {
  const run = setup(t);
  run.add('rt', jobs(500, 50));
  await finish(run);
  assert.equal(run.destinations.requests.length, 500);
  assert.deepEqual(duplicates(run), []);
  assert.deepEqual(findOvertaking(attemptsOf(run)), []);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 500);
  assert.ok(
    run.storage.commits.length < 250,
    `expected statuses in batches, got ${run.storage.commits.length} commits`,
  );
});

test('no event is sent while an earlier one of its user may still be retried', async (t) => {
  const run = setup(t, { settings: { router: { retryBackoffMsMin: 100, retryBackoffMsMax: 2_000 } } });
  const random = seededRandom(7);
  run.destinations.answer = () => (random.next() < 0.4 ? 500 : 200);
  run.add('rt', jobs(300, 12));
  await finish(run);
  assert.deepEqual(findOvertaking(attemptsOf(run)), []);
  assert.deepEqual(duplicates(run), []);
  assert.equal(run.destinations.delivered().length, 300);
});

test('one user that fails does not hold the others', async (t) => {
  const run = setup(t);
  run.destinations.answer = ({ event }) => (event.userId === 'u0' ? 500 : 200);
  run.add('rt', jobs(100, 10));
  await run.until('the others delivered', () => run.destinations.delivered().length === 90, 5_000);
});

test('a 400 aborts at once and keeps what the destination said; the next event of the user goes on', async (t) => {
  const run = setup(t);
  run.add('rt', [job('ann'), job('ann')]);
  run.destinations.answer = () =>
    run.destinations.requests.length === 1 ? { code: 400, response: 'no such field' } : 200;
  await finish(run);
  const [aborted] = run.storage.inState('rt', 'aborted');
  assert.equal(aborted?.status?.code, 400);
  assert.equal(JSON.parse(aborted?.status?.response ?? '').response, 'no such field');
  assert.equal(run.storage.counted('aborted', 'src', 'd1'), 1);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 1);
});

test('a failed job is tried again when its committed retry time has come, not before and not much later', async (t) => {
  const run = setup(t, { settings: { router: { retryBackoffMsMin: 10_000 } } });
  run.destinations.answer = () => (run.destinations.requests.length < 4 ? 503 : 200);
  run.add('rt', [job('ann')]);
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await run.until(`failure ${attempt}`, () => run.storage.inState('rt', 'failed')[0]?.status?.attempt === attempt);
    const retryTimeMs = run.storage.inState('rt', 'failed')[0]?.status?.retryTimeMs ?? 0;
    await run.until('the next attempt', () => run.destinations.requests.length === attempt + 1);
    const sentAtMs = run.destinations.requests.at(-1)?.sentAtMs ?? 0;
    assert.ok(sentAtMs >= retryTimeMs && sentAtMs <= retryTimeMs + 50, `due ${retryTimeMs}, sent ${sentAtMs}`);
  }
  await finish(run);
  const [succeeded] = run.storage.inState('rt', 'succeeded');
  assert.equal(succeeded?.status?.attempt, 4);
  const keys = new Set(run.destinations.requests.map(({ request }) => request.idempotencyKey));
  assert.equal(keys.size, 1);
});

test('Retry-After is waited for', async (t) => {
  const run = setup(t, { settings: { router: { retryBackoffMsMin: 10 } } });
  run.destinations.answer = () => (run.destinations.requests.length === 1 ? { code: 429, retryAfterMs: 60_000 } : 200);
  run.add('rt', [job('ann')]);
  await finish(run);
  const [first, second] = run.destinations.requests;
  assert.ok((second?.sentAtMs ?? 0) - (first?.sentAtMs ?? 0) >= 60_000);
});

test('a job that failed for too long and too often is given up with the reason, and its user goes on', async (t) => {
  const run = setup(t, { settings: { router: { retryBackoffMsMin: 100, retryWindowMs: 1_000, attemptsMax: 3 } } });
  run.add('rt', [job('ann'), job('ann')]);
  const first = sequence - 1;
  run.destinations.answer = ({ event }) => (event.sequence === first ? 500 : 200);
  await finish(run);
  const [aborted] = run.storage.inState('rt', 'aborted');
  assert.equal(aborted?.status?.code, 410);
  assert.equal(JSON.parse(aborted?.status?.response ?? '').reason, 'retry limit reached');
  assert.equal(run.storage.inState('rt', 'succeeded').length, 1);
});

test('a result whose commit was not answered is not sent again', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const run = setup(t, { seed, settings: { router: { retryBackoffMsMin: 50, retryBackoffMsMax: 500 } } });
    const random = seededRandom(seed);
    const faults = ['lostBefore', 'lostAfter', 'failBefore'] as const;
    run.storage.fault = () => (random.next() < 0.3 ? faults[random.integer(3)] : undefined);
    run.destinations.answer = () => (random.next() < 0.2 ? 500 : 200);
    run.add('rt', jobs(200, 20));
    await finish(run);
    assert.deepEqual(duplicates(run), [], `seed ${seed}`);
    assert.deepEqual(findOvertaking(attemptsOf(run)), [], `seed ${seed}`);
    assert.equal(run.storage.counted('delivered', 'src', 'd1'), 200);
  }
});

test('a request in flight when the session is lost is not sent a second time', async (t) => {
  const run = setup(t);
  run.destinations.answer = () => 'hold';
  run.add('rt', [job('ann'), job('ann'), job('ben')]);
  await run.until('two requests', () => run.destinations.heldCount === 2);
  run.ref('storage', '0').tell({ kind: 'openPartition', queue: 'rt', partition: 'd1', session: 1 });
  run.destinations.answer = () => 200;
  run.destinations.release();
  await finish(run);
  assert.equal(run.destinations.requests.length, 3);
  assert.ok(run.logs.some((line) => line.includes('"reason":"stale"')));
});

test('a lost storage thread costs no duplicate and no order', async (t) => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const run = setup(t, { seed });
    run.add('rt', jobs(200, 20));
    await run.advance(seededRandom(seed).integer(20));
    await run.kill('storage');
    await finish(run);
    assert.deepEqual(duplicates(run), [], `seed ${seed}`);
    assert.deepEqual(findOvertaking(attemptsOf(run)), []);
  }
});

test('a lost actor thread costs at most what was in flight, under the same keys, and no order', async (t) => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const run = setup(t, { seed, settings: { router: { requestsInFlightMax: 8 } } });
    run.add('rt', jobs(200, 20));
    await run.advance(10 + seededRandom(seed).integer(30));
    const uncertain = run.storage.unfinished('rt').length;
    const answered = run.destinations.delivered().length;
    await run.kill('actors');
    await finish(run);
    assert.ok(duplicates(run).length <= 8 + (answered - (200 - uncertain)), `seed ${seed}: ${duplicates(run).length}`);
    assert.deepEqual(findOvertaking(attemptsOf(run)), [], `seed ${seed}`);
    const firsts = run.destinations.delivered().filter(({ request }, index, all) => {
      return all.findIndex((other) => other.request.idempotencyKey === request.idempotencyKey) === index;
    });
    assert.equal(firsts.length, 200);
  }
});

test('attempts and retry time outlive the actor thread', async (t) => {
  const run = setup(t, { settings: { router: { retryBackoffMsMin: 60_000, retryBackoffMsMax: 60_000 } } });
  run.destinations.answer = () => (run.destinations.requests.length === 1 ? { code: 503, retryAfterMs: 60_000 } : 200);
  run.add('rt', [job('ann')]);
  await run.until('the failure', () => run.storage.inState('rt', 'failed').length === 1);
  const retryTimeMs = run.storage.inState('rt', 'failed')[0]?.status?.retryTimeMs ?? 0;
  await run.kill('actors');
  await finish(run);
  assert.equal(run.destinations.requests.length, 2);
  assert.ok((run.destinations.requests[1]?.sentAtMs ?? 0) >= retryTimeMs);
  assert.equal(run.storage.inState('rt', 'succeeded')[0]?.status?.attempt, 2);
});

test('jobs of a destination that is gone or disabled are aborted with the reason', async (t) => {
  const run = setup(t);
  run.destinations.answer = () => 'hold';
  run.add('rt', [job('ann'), job('ann'), job('ben', {}, 'd2'), job('ben', {}, 'd2')]);
  await run.until('two requests', () => run.destinations.heldCount === 2);
  run.publish([makeSource('src', [makeDestination('d2', { enabled: false })])]);
  run.destinations.release();
  await finish(run);
  const reasons = run.storage.inState('rt', 'aborted').map(({ job: { partition }, status }) => {
    return [partition, status?.code, status?.attempt, JSON.parse(status?.response ?? '').reason];
  });
  assert.deepEqual(reasons, [
    ['d1', 410, 0, 'destination is not available in the config'],
    ['d2', 410, 0, 'destination is disabled'],
  ]);
});

test('never more requests to one destination than allowed, and one that stalls leaves the others theirs', async (t) => {
  const run = setup(t, { settings: { router: { isolation: 'none', requestsInFlightMax: 4 } } });
  run.destinations.answer = ({ request }) => (request.poolKey === 'd1' ? 'hold' : 200);
  const toBoth = Array.from({ length: 40 }, (_none, index) =>
    job(`u${index}`, { partition: '' }, index % 2 === 0 ? 'd1' : 'd2'),
  );
  run.add('rt', toBoth);
  await run.until('the healthy one done', () => run.destinations.delivered().length === 20, 5_000);
  assert.equal(run.destinations.heldCount, 4);
  run.destinations.answer = () => 200;
  run.destinations.release();
  await finish(run);
});

test('what a router holds is bounded in bytes, and everything is delivered all the same', async (t) => {
  const run = setup(t, { settings: { router: { requestsInFlightMax: 1_000 } } });
  run.destinations.answer = () => 'hold';
  const text = 'x'.repeat(1024 * 1024);
  run.add(
    'rt',
    Array.from({ length: 150 }, (_none, index) => job(`u${index}`, { payload: { text } })),
  );
  await run.advance(1_000);
  const { heldCount } = run.destinations;
  assert.ok(heldCount > 8 && heldCount <= 32, `holds ${heldCount} jobs of a mebibyte`);
  run.destinations.answer = () => 200;
  run.destinations.release();
  await finish(run);
  assert.equal(run.destinations.delivered().length, 150);
});

test('a status that storage refuses is stored without the text of the answer', async (t) => {
  const run = setup(t);
  run.destinations.answer = () => ({ code: 400, response: 'evil' });
  run.storage.fault = ({ results }) =>
    results.some(({ statuses }) => statuses.some(({ response }) => response.includes('evil')))
      ? { refuse: 'bad text' }
      : undefined;
  run.add('rt', [job('ann')]);
  await finish(run);
  assert.match(run.storage.inState('rt', 'aborted')[0]?.status?.response ?? '', /redacted/);
  assert.equal(run.destinations.requests.length, 1);
});

test('a job whose parameters cannot be read is aborted and does not stop its partition', async (t) => {
  const run = setup(t);
  run.add('rt', [job('ann', { parameters: { no: 'request' } }), job('ann')]);
  await finish(run);
  assert.equal(run.storage.inState('rt', 'aborted').length, 1);
  assert.equal(run.destinations.delivered().length, 1);
});

test('a drain lets requests in flight end, commits them, and releases the rest with its attempts unchanged', async (t) => {
  const run = setup(t, { settings: { router: { requestsInFlightMax: 4 } } });
  run.destinations.answer = ({ event }) => (event.userId === 'bad' ? 500 : 'hold');
  run.add('rt', [job('bad'), ...jobs(20, 20)]);
  await run.until('a failure', () => run.storage.inState('rt', 'failed').length === 1, 5_000);
  assert.equal(run.destinations.heldCount, 4);
  const drained = run.system('actors').drain(20_000);
  await run.advance(100);
  run.destinations.release();
  await run.advance(100);
  assert.deepEqual(await drained, { clean: true, unfinished: [] });
  assert.equal(run.destinations.requests.length, 5);
  assert.equal(run.storage.inState('rt', 'succeeded').length, 4);
  assert.equal(run.storage.inState('rt', 'failed')[0]?.status?.attempt, 1);
  assert.equal(run.storage.unfinished('rt').length, 17);
  assert.deepEqual(run.destinations.released, ['d1']);
});

test('a destination that is down is probed one request at a time, and its jobs keep their attempts', async (t) => {
  const run = setup(t, { settings: { router: { breakerFailures: 10, retryBackoffMsMin: 10, retryBackoffMsMax: 10 } } });
  run.destinations.answer = () => 503;
  run.add('rt', jobs(200, 200));
  await run.until('the breaker to open and three probes', () => run.destinations.requests.length >= 64 + 3);
  const tried = run.destinations.requests.length;
  assert.ok(tried < 64 + 20, `expected few requests to a destination that is down, got ${tried}`);
  run.destinations.answer = () => 200;
  await finish(run);
  assert.equal(run.destinations.delivered().length, 200);
  assert.ok(run.destinations.requests.length < 200 + 64 + 40);
  assert.deepEqual(
    run.found.map(({ destinationId, isDown }) => `${destinationId} ${isDown}`),
    ['d1 true', 'd1 false'],
  );
});

test('nothing is sent to a paused destination, and everything once it is resumed', async (t) => {
  const run = setup(t);
  run.controls.publish({ paused: [{ destinationId: 'd1', reason: 'maintenance', sinceMs: 1 }], drains: [] });
  run.add('rt', [...jobs(20, 5), ...Array.from({ length: 20 }, () => job('other', {}, 'd2'))]);
  await run.until('the other one done', () => run.storage.unfinished('rt').length === 20);
  assert.equal(run.destinations.delivered().length, 20);
  run.controls.publish({ paused: [], drains: [] });
  await finish(run);
  assert.equal(run.destinations.delivered().length, 40);
  assert.deepEqual(findOvertaking(attemptsOf(run)), []);
});

test('a drain gives up the jobs it means, also of a paused destination, and no others', async (t) => {
  const run = setup(t);
  const drain = { id: 1, sourceId: '', jobRunId: '', jobId: 0, receivedBeforeMs: 0, reason: 'not wanted', sinceMs: 1 };
  run.controls.publish({
    paused: [{ destinationId: 'd1', reason: 'maintenance', sinceMs: 1 }],
    drains: [{ ...drain, destinationId: 'd1', receivedBeforeMs: Date.UTC(2026, 0, 1) + 1 }],
  });
  const later = Array.from({ length: 5 }, () => job('late', { receivedAtMs: Date.UTC(2026, 0, 2) }));
  run.add('rt', [...jobs(10, 3), ...later]);
  await run.until('the old ones given up', () => run.storage.counted('aborted', 'src', 'd1') === 10);
  assert.equal(run.storage.unfinished('rt').length, 5);
  assert.equal(run.destinations.requests.length, 0);
  const [aborted] = run.storage.inState('rt', 'aborted');
  assert.deepEqual([aborted?.status?.code, JSON.parse(aborted?.status?.response ?? '').reason], [410, 'not wanted']);
  run.controls.publish({ paused: [], drains: [] });
  await finish(run);
  assert.equal(run.destinations.delivered().length, 5);
});

test('a throttled destination gets what it may, in order, and the other one is not held', async (t) => {
  const slow = makeDestination('d1');
  slow.config.throttle = { limit: 5, timeWindowMs: 1_000 };
  const run = setup(t, { sources: [makeSource('src', [slow, makeDestination('d2')])] });
  const startMs = run.nowMs;
  run.add('rt', [...jobs(50, 10), ...Array.from({ length: 50 }, () => job('other', {}, 'd2'))]);
  await run.until('the other one delivered', () => run.storage.counted('delivered', 'src', 'd2') === 50, 1_000);
  await finish(run);
  const tookMs = run.nowMs - startMs;
  assert.ok(tookMs >= 8_900 && tookMs <= 10_500, `expected 50 jobs at 5 a second to take about 9 s, got ${tookMs} ms`);
  const own = run.destinations.requests.filter(({ request }) => request.poolKey === 'd1');
  assert.equal(own.length, 50);
  const bySecond = new Map<number, number>();
  for (const { sentAtMs } of own) {
    const second = Math.floor((sentAtMs - startMs) / 1_000);
    bySecond.set(second, (bySecond.get(second) ?? 0) + 1);
  }
  // Beginning with what may come at once, then five in every second.
  for (const [second, sent] of bySecond) assert.ok(sent <= (second === 0 ? 10 : 6), `${sent} in second ${second}`);
  assert.deepEqual(
    findOvertaking(own.map(({ event }) => ({ userId: String(event.userId), sequence: Number(event.sequence) }))),
    [],
  );
});
