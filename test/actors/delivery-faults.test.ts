// Processor and router together, from accepted event to destination, while threads die, commits go unanswered and
// destinations fail: nothing is lost, nothing is out of order, and the ledger balances to the last event.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idempotencyKey } from '../../actors/router/routed-job.ts';
import { type Random, seededRandom } from '../../runtime/seams.ts';
import { findOvertaking } from '../support/order-checker.ts';
import { type SentRequest, VirtualPipeline } from '../support/virtual-pipeline.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

const seeds = 40;
const events = 150;
const users = 9;
const destinations = ['d1', 'd2', 'off', 'batched'];
const single = ['d1', 'd2', 'off'];

/**
 * A receiver that works in order: behind an event that failed it takes no more of its user. What it refuses for good it
 * always refuses, because after a crash it may be asked again.
 */
function inPart(sent: readonly Sent[], random: Random) {
  const failed = new Set<string>();
  const parts = sent.map(({ userId, sequence }) => {
    if (!failed.has(userId) && random.next() < 0.2) failed.add(userId);
    return { status: failed.has(userId) ? 503 : sequence % 10 === 3 ? 400 : 200 };
  });
  return { code: 207, response: JSON.stringify(parts) };
}

interface Sent {
  userId: string;
  sequence: number;
}

/** The events of a request, one or many. */
function eventsOf({ event }: Pick<SentRequest, 'event'>): Sent[] {
  return (Array.isArray(event) ? event : [event]).map((one) => ({
    userId: String(one.userId),
    sequence: Number(one.sequence),
  }));
}

/** What a destination of batches took, in order of arrival, each event once. */
function acceptedInBatches({ destinations: sent }: VirtualPipeline): Sent[] {
  const accepted = new Map<number, Sent>();
  for (const request of sent.requests.filter(({ request: { poolKey } }) => poolKey === 'batched')) {
    const codes = request.code === 207 ? JSON.parse(request.answer) : undefined;
    for (const [index, event] of eventsOf(request).entries()) {
      const code = codes === undefined ? request.code : codes[index].status;
      if (code >= 200 && code < 300 && !accepted.has(event.sequence)) accepted.set(event.sequence, event);
    }
  }
  return [...accepted.values()];
}

/** Every test looks at the same runs from another side. */
const runs = new Map<number, Promise<VirtualPipeline>>();

function runWith(seed: number): Promise<VirtualPipeline> {
  const known = runs.get(seed) ?? play(seed);
  runs.set(seed, known);
  return known;
}

async function play(seed: number): Promise<VirtualPipeline> {
  const random = seededRandom(seed);
  const run = new VirtualPipeline({
    seed,
    sources: [
      makeSource('src', [
        makeDestination('d1'),
        makeDestination('d2'),
        makeDestination('off', { enabled: false }),
        makeDestination('batched', { config: { webhookUrl: 'http://127.0.0.1:9/', batch: { maxEvents: 7 } } }),
      ]),
    ],
    settings: {
      processor: { slots: 40 },
      router: { slots: 60, requestsInFlightMax: 6, retryBackoffMsMin: 20, retryBackoffMsMax: 200 },
    },
  });
  const faults = ['lostBefore', 'lostAfter', 'failBefore'] as const;
  run.storage.fault = () => (random.next() < 0.05 ? faults[random.integer(3)] : undefined);
  run.destinations.answer = (sent) => {
    if (Array.isArray(sent.event)) return random.next() < 0.2 ? 503 : inPart(eventsOf(sent), random);
    return [200, 200, 200, 200, 503, 429, 400][random.integer(7)] ?? 200;
  };
  for (let batch = 0; batch < 5; batch += 1) {
    run.add(
      'gw',
      Array.from({ length: events / 5 }, (_none, index) => ({
        partition: 'src',
        userId: `<<>>u${index % users}<<>>`,
        parameters: { source_id: 'src', workspace_id: 'ws-1' },
        payload: { type: 'track', userId: `u${index % users}`, sequence: batch * events + index },
      })),
    );
    await run.advance(random.integer(40));
    if (random.next() < 0.5) await run.kill(random.next() < 0.5 ? 'actors' : 'storage');
  }
  await run.until(
    'every job finished',
    () => run.storage.unfinished('gw').length + run.storage.unfinished('rt').length === 0,
  );
  return run;
}

test('whatever is lost on the way, every event is accounted for at every destination', async () => {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { storage } = await runWith(seed);
    assert.deepEqual(storage.violations, [], `seed ${seed}`);
    assert.equal(storage.counted('processed', 'src', ''), events, `seed ${seed}`);
    for (const destination of destinations) {
      const count = (kind: string): number => storage.counted(kind, 'src', destination);
      assert.equal(count('routed'), events, `seed ${seed}`);
      assert.equal(count('delivered') + count('filtered') + count('aborted'), events, `seed ${seed}, ${destination}`);
    }
    assert.equal(storage.counted('filtered', 'src', 'off'), events);
  }
});

test('whatever is lost on the way, no destination sees an event of a user before an earlier one that may come again', async () => {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { destinations: sent } = await runWith(seed);
    assert.deepEqual(findOvertaking(acceptedInBatches(await runWith(seed))), [], `seed ${seed}, batched`);
    for (const destination of single) {
      const attempts = sent.requests
        .filter(({ request }) => request.poolKey === destination)
        .map(({ event }) => ({ userId: String(event.userId), sequence: Number(event.sequence) }));
      assert.deepEqual(findOvertaking(attempts), [], `seed ${seed}, ${destination}`);
    }
  }
});

test('what counts as delivered was delivered', async () => {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { storage, destinations: sent } = await runWith(seed);
    const delivered = new Set(sent.delivered().map(({ request }) => request.idempotencyKey));
    const inBatches = new Set(acceptedInBatches(await runWith(seed)).map(({ sequence }) => sequence));
    for (const { job } of storage.inState('rt', 'succeeded')) {
      if (job.partition === 'batched') {
        const { sequence } = JSON.parse(Buffer.from(job.payload).toString());
        assert.ok(inBatches.has(sequence), `seed ${seed}, ${sequence}`);
        continue;
      }
      const key = idempotencyKey(job, job.partition);
      assert.ok(delivered.has(key), `seed ${seed}, ${key}`);
    }
  }
});
