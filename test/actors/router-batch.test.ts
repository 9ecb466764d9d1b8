// Batches in the router actor: what goes together, what an answer means for each event, and that order per user holds
// whatever fails. Real runtime, virtual time, no network.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { seededRandom } from '../../runtime/seams.ts';
import type { NewJob } from '../support/memory-storage.ts';
import { findOvertaking } from '../support/order-checker.ts';
import { type SentRequest, type VirtualOptions, VirtualPipeline } from '../support/virtual-pipeline.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

const url = 'http://h/';

function setup(t: TestContext, batch: Record<string, unknown>, options: VirtualOptions = {}): VirtualPipeline {
  const sources = [makeSource('src', [makeDestination('d1', { config: { webhookUrl: url, batch } })])];
  const run = new VirtualPipeline({ sources, ...options });
  t.after(() => assert.deepEqual(run.storage.violations, []));
  return run;
}

let sequence = 0;

function job(user: string, endpoint = url, changes: Partial<NewJob> = {}): NewJob {
  sequence += 1;
  return {
    partition: 'd1',
    userId: `<<>>${user}<<>>`,
    receivedAtMs: Date.UTC(2026, 0, 1),
    parameters: {
      source_id: 'src',
      destination_id: 'd1',
      workspace_id: 'ws-1',
      request: { method: 'POST', endpoint, headers: {}, params: {}, format: 'JSON' },
    },
    payload: { userId: user, sequence },
    ...changes,
  };
}

interface Sent {
  userId: string;
  sequence: number;
}

/** The events of a request, one or many. */
function eventsOf({ event }: SentRequest): Sent[] {
  return (Array.isArray(event) ? event : [event]).map((one) => ({
    userId: String(one.userId),
    sequence: Number(one.sequence),
  }));
}

/** A 207 answer with these codes. */
function each(codes: readonly number[]) {
  return { code: 207, response: JSON.stringify(codes.map((status) => ({ status }))) };
}

async function finish(run: VirtualPipeline): Promise<void> {
  await run.until('all jobs finished', () => run.storage.unfinished('rt').length === 0);
}

test('events go together as a JSON array, each once, counted one by one', async (t) => {
  const run = setup(t, { maxEvents: 50 });
  run.add(
    'rt',
    Array.from({ length: 500 }, (_none, index) => job(`u${index % 100}`)),
  );
  await finish(run);
  const { requests } = run.destinations;
  assert.ok(requests.length <= 30, `expected about 10 requests, got ${requests.length}`);
  assert.ok(requests.every((request) => eventsOf(request).length <= 50));
  const sent = requests.flatMap(eventsOf);
  assert.equal(new Set(sent.map((one) => one.sequence)).size, 500);
  assert.equal(sent.length, 500);
  assert.deepEqual(findOvertaking(sent), []);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 500);
  assert.equal(requests[0]?.request.request.format, 'JSON_ARRAY');
});

test('one user’s events go together in order', async (t) => {
  const run = setup(t, { maxEvents: 20 });
  run.add(
    'rt',
    Array.from({ length: 100 }, () => job('ann')),
  );
  await finish(run);
  assert.ok(
    run.destinations.requests.length <= 7,
    `expected about 5 requests, got ${run.destinations.requests.length}`,
  );
  assert.deepEqual(findOvertaking(run.destinations.requests.flatMap(eventsOf)), []);
});

test('requests to different places do not mix, nor do bytes pass the limit, and all arrive', async (t) => {
  const run = setup(t, { maxEvents: 10, maxBytes: 200 });
  run.add(
    'rt',
    Array.from({ length: 60 }, (_none, index) => job(`u${index}`, index % 2 === 0 ? url : 'http://other/')),
  );
  run.add('rt', [job('big', url, { payload: { userId: 'big', text: 'x'.repeat(1_000) } })]);
  await finish(run);
  const sent = run.destinations.requests;
  for (const { request } of sent) if (request.jobs > 1) assert.ok(request.body.byteLength <= 200 + request.jobs + 1);
  assert.deepEqual([...new Set(sent.map(({ request }) => request.request.endpoint))].sort(), [url, 'http://other/']);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 61);
});

test('an answer about each event is taken for each: what failed comes again, what was refused does not', async (t) => {
  const run = setup(t, { maxEvents: 10 }, { settings: { router: { retryBackoffMsMin: 10, retryBackoffMsMax: 10 } } });
  run.add('rt', [job('ann'), job('ben'), job('cid')]);
  run.destinations.answer = () => (run.destinations.requests.length === 1 ? each([200, 503, 400]) : 200);
  await finish(run);
  const [first, second] = run.destinations.requests.map((request) => eventsOf(request).map(({ userId }) => userId));
  assert.deepEqual([first, second], [['ann', 'ben', 'cid'], ['ben']]);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 2);
  const [aborted] = run.storage.inState('rt', 'aborted');
  assert.equal(aborted?.status?.code, 400);
  assert.equal(JSON.parse(aborted?.status?.response ?? '').response, '{"status":400}');
});

test('behind an event that failed the others of its user count as not sent, unless they arrived', async (t) => {
  const run = setup(t, { maxEvents: 10 }, { settings: { router: { retryBackoffMsMin: 10, retryBackoffMsMax: 10 } } });
  run.add('rt', [job('ann'), job('ann'), job('ann'), job('ann')]);
  const base = sequence - 4;
  run.destinations.answer = () => (run.destinations.requests.length === 1 ? each([500, 500, 200, 500]) : 200);
  await finish(run);
  const sent = run.destinations.requests.map((request) => eventsOf(request).map((one) => one.sequence - base));
  assert.deepEqual(sent, [
    [1, 2, 3, 4],
    [1, 2, 4],
  ]);
  const attempts = run.storage.inState('rt', 'succeeded').map(({ status }) => status?.attempt);
  // The second and the fourth counted as not sent, so theirs was a plain first success.
  assert.deepEqual(
    attempts.filter((attempt) => attempt !== undefined),
    [2],
  );
});

test('an answer that cannot be matched to the events is about all of them', async (t) => {
  const run = setup(t, { maxEvents: 10 });
  run.add('rt', [job('ann'), job('ben')]);
  run.destinations.answer = () => each([400]);
  await finish(run);
  assert.equal(run.storage.counted('delivered', 'src', 'd1'), 2);
});

test('a request that is not full waits for those under way, but not for long', async (t) => {
  const run = setup(t, { maxEvents: 10, maxAgeMs: 300 });
  run.destinations.answer = () => 'hold';
  run.add('rt', [job('ann')]);
  await run.until('the first request', () => run.destinations.heldCount === 1);
  run.add('rt', [job('ben'), job('cid')]);
  await run.advance(250);
  assert.equal(run.destinations.heldCount, 1, 'it waits for more while another is under way');
  await run.advance(100);
  assert.equal(run.destinations.heldCount, 2);
  run.destinations.answer = () => 200;
  run.destinations.release();
  await finish(run);
});

test('order holds under random failures of whole requests and of events, lost commits, kills and drains', async (t) => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const random = seededRandom(seed);
    const run = setup(
      t,
      { maxEvents: 1 + random.integer(20) },
      { seed, settings: { router: { retryBackoffMsMin: 20, retryBackoffMsMax: 300, attemptsMax: 50 } } },
    );
    run.destinations.answer = (sent) => {
      const count = eventsOf(sent).length;
      if (random.next() < 0.15) return 503;
      if (count === 1) return 200;
      return random.next() < 0.5 ? 200 : each(failingTail(count, random.integer(count + 1)));
    };
    run.storage.fault = () => (random.next() < 0.1 ? 'lostAfter' : undefined);
    run.add(
      'rt',
      Array.from({ length: 200 }, (_none, index) => job(`u${index % 7}`)),
    );
    await run.advance(50 + random.integer(200));
    if (seed % 3 === 0) await run.kill('storage');
    await finish(run);
    const arrived: Sent[] = [];
    for (const sent of run.destinations.requests) {
      const codes = sent.code === 207 ? codesOf(sent) : eventsOf(sent).map(() => sent.code);
      for (const [index, event] of eventsOf(sent).entries()) if ((codes[index] ?? 0) < 300) arrived.push(event);
    }
    assert.equal(new Set(arrived.map((one) => one.sequence)).size, 200, `seed ${seed}`);
    assert.equal(arrived.length, 200, `seed ${seed}: an event arrived twice`);
    assert.deepEqual(findOvertaking(arrived), [], `seed ${seed}`);
  }
});

/** The first `good` arrive, the others do not: what a receiver that works in order says. */
function failingTail(count: number, good: number): number[] {
  return Array.from({ length: count }, (_none, index) => (index < good ? 200 : 500));
}

function codesOf({ answer }: SentRequest): number[] {
  return JSON.parse(answer).map(({ status }: { status: number }) => status);
}
