// Partitions split by visitor: what the settings mean, and that order is kept where it is promised, for visitors who
// come anonymously, sign up and go on, while threads die and destinations fail.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compositeUserId } from '../../actors/gateway/event-rows.ts';
import { parseSplits, Splits, visitorOf } from '../../actors/isolation.ts';
import { seededRandom } from '../../runtime/seams.ts';
import { findOvertaking } from '../support/order-checker.ts';
import { VirtualPipeline } from '../support/virtual-pipeline.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

test('a split names partitions and their shards, and the rest', () => {
  const splits = new Splits(' source-1=4, a=b=2 ,*=3');
  assert.deepEqual(
    ['source-1', 'a=b', 'other'].map((partition) => splits.countOf(partition)),
    [4, 2, 3],
  );
  assert.deepEqual(splits.shardsOf('a=b').keys, ['a=b#0', 'a=b#1']);
  assert.equal(new Splits('').countOf('any'), 1);
  assert.equal(new Splits('=2').countOf(''), 2, 'the only partition of the mode none');
});

test('a split that cannot be meant is none', () => {
  for (const setting of ['4', 'a', 'a=', 'a=0', 'a=1025', 'a=x', 'a=2,', 'a=2,a=3', 'a=-1', 'a=1.5']) {
    assert.equal(parseSplits(setting), undefined, setting);
  }
});

test('events with one anonymous id, and events of one user without any, have one shard', () => {
  const id = fc.string({ minLength: 1 });
  const property = fc.property(id, id, id, id, (header, anonymousId, userId, otherUser) => {
    const visitor = (...[anonymous, user]: [string, string]): string =>
      visitorOf(compositeUserId(header, anonymous, user));
    assert.equal(visitor(anonymousId, userId), visitor(anonymousId, ''));
    assert.equal(visitor(anonymousId, userId), visitor(anonymousId, otherUser));
    assert.equal(visitorOf(compositeUserId('', '', userId)), visitor('', userId));
  });
  fc.assert(property);
});

const visitors = 12;
const eventsPerVisitor = 10;
const signUpAt = 4;

/** Visitors are anonymous at first, sign up, and are known by both ids from then on; every fourth has no anonymous id. */
function userIdOf(visitor: number, sequence: number): string {
  const userId = `u${visitor % 5}`;
  if (visitor % 4 === 0) return compositeUserId('', '', `server-${visitor}`);
  return compositeUserId('', `a${visitor}`, sequence < signUpAt ? '' : userId);
}

async function play(seed: number): Promise<VirtualPipeline> {
  const random = seededRandom(seed);
  const settings = {
    processor: { slots: 10, shards: 'src=3' },
    router: { slots: 20, shards: 'd1=2', requestsInFlightMax: 6, retryBackoffMsMin: 20, retryBackoffMsMax: 200 },
  };
  const run = new VirtualPipeline({
    seed,
    sources: [makeSource('src', [makeDestination('d1'), makeDestination('d2')])],
    settings,
  });
  run.destinations.answer = () => [200, 200, 200, 503, 429][random.integer(5)] ?? 200;
  const shards = new Splits(settings.processor.shards).shardsOf('src');
  for (let sequence = 0; sequence < eventsPerVisitor; sequence += 1) {
    const jobs = Array.from({ length: visitors }, (_none, visitor) => ({
      partition: shards.keyOf(visitorOf(userIdOf(visitor, sequence))),
      userId: userIdOf(visitor, sequence),
      parameters: { source_id: 'src', workspace_id: 'ws-1' },
      payload: { type: 'track', userId: `visitor-${visitor}`, sequence },
    }));
    run.add('gw', jobs);
    await run.advance(random.integer(60));
    if (random.next() < 0.3) await run.kill(random.next() < 0.5 ? 'actors' : 'storage');
  }
  await run.until(
    'every job finished',
    () => run.storage.unfinished('gw').length + run.storage.unfinished('rt').length === 0,
  );
  return run;
}

test('a visitor keeps his order through split partitions when he signs up amid them', async () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const { storage, destinations } = await play(seed);
    assert.deepEqual(storage.violations, [], `seed ${seed}`);
    const partitions = new Set(storage.inState('rt', 'succeeded').map(({ job }) => job.partition));
    assert.deepEqual([...partitions].sort(), ['d1#0', 'd1#1', 'd2'], `seed ${seed}`);
    for (const destination of ['d1', 'd2']) {
      assert.equal(storage.counted('delivered', 'src', destination), visitors * eventsPerVisitor, `seed ${seed}`);
      const attempts = destinations.requests
        .filter(({ request }) => request.poolKey === destination)
        .map(({ event }) => ({ userId: String(event.userId), sequence: Number(event.sequence) }));
      assert.deepEqual(findOvertaking(attempts), [], `seed ${seed}, ${destination}`);
    }
  }
});

test('the shards of a destination divide its concurrent requests', async () => {
  const run = new VirtualPipeline({
    sources: [makeSource('src', [makeDestination('d1')])],
    settings: { processor: { shards: 'src=2' }, router: { shards: '*=3', requestsInFlightMax: 6 } },
  });
  run.destinations.answer = () => 'hold';
  const jobs = Array.from({ length: 60 }, (_none, user) => ({
    partition: `src#${user % 2}`,
    userId: compositeUserId('', '', `u${user}`),
    parameters: { source_id: 'src', workspace_id: 'ws-1' },
    payload: { type: 'track', userId: `u${user}`, sequence: 0 },
  }));
  run.add('gw', jobs);
  await run.advance(100);
  assert.equal(run.destinations.heldCount, 6);
});
