// Duplicates in the processor over the storage model: dropped once and only once, whatever is lost on the way, and
// nothing else is dropped.

import { strict as assert } from 'node:assert';
import { type TestContext, test } from 'node:test';
import { readJobs } from '../../actors/storage/job-row.ts';
import { seededRandom } from '../../runtime/seams.ts';
import type { NewJob } from '../support/memory-storage.ts';
import { type VirtualOptions, VirtualPipeline } from '../support/virtual-pipeline.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

const sources = [makeSource('src', [makeDestination('d1')])];
const hourMs = 3_600_000;

function setup(t: TestContext, options: VirtualOptions = {}): VirtualPipeline {
  const run = new VirtualPipeline({ sources, ...options });
  run.destinations.answer = () => 'hold';
  t.after(() => assert.deepEqual(run.storage.violations, []));
  return run;
}

function event(messageId: string, more: Partial<NewJob> = {}): NewJob {
  return {
    partition: 'src',
    userId: '<<>>ann<<>>',
    messageId,
    parameters: { source_id: 'src', workspace_id: 'ws-1' },
    payload: { type: 'track', event: messageId },
    ...more,
  };
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_none, index) => `e${index}`);
}

function routed(run: VirtualPipeline): string[] {
  return [...run.storage.jobs.values()].filter(({ queue }) => queue === 'rt').map(({ job }) => job.messageId);
}

async function finish(run: VirtualPipeline): Promise<void> {
  await run.until('no gateway job to be left', () => run.storage.unfinished('gw').length === 0);
}

test('a duplicate is dropped in its batch, across batches and across the life of the actor, and told', async (t) => {
  const run = setup(t, { settings: { processor: { idleMs: 1_000 } } });
  run.add(
    'gw',
    [...names(100), 'e7', 'e99'].map((name) => event(name)),
  );
  await finish(run);
  run.add('gw', [event('e50')]);
  await finish(run);
  await run.until('the processor is put away', () => run.system('actors').stats().actorsByKind.processor === 0, 10_000);
  run.add('gw', [event('e3'), event('new')]);
  await finish(run);
  assert.deepEqual(routed(run), [...names(100), 'new']);
  assert.equal(run.storage.counted('deduplicated', 'src', ''), 4);
  assert.equal(run.storage.counted('processed', 'src', ''), 101);
  const dropped = run.storage.inState('gw', 'filtered').map(({ job, status }) => [job.messageId, status?.code]);
  assert.deepEqual(dropped, [
    ['e7', 298],
    ['e99', 298],
    ['e50', 298],
    ['e3', 298],
  ]);
  assert.equal(run.storage.inState('gw', 'filtered')[0]?.status?.response, '{"reason":"duplicate"}');
  assert.equal(run.storage.seenReads, 0, 'this thread knew it all');
});

test('the id belongs to its source, and to its job run', async (t) => {
  const two = ['one', 'two'].map((id) => makeSource(id, [makeDestination(`d-${id}`)]));
  const run = setup(t, { sources: two });
  const of = (source: string, run?: string): NewJob => {
    const ids = { source_id: source, workspace_id: 'ws-1' };
    return event('same', { parameters: run === undefined ? ids : { ...ids, source_job_run_id: run } });
  };
  run.add('gw', [of('one'), of('two'), of('one', 'run-1'), of('one', 'run-2'), of('one', 'run-1')]);
  await finish(run);
  assert.equal(routed(run).length, 4);
});

test('a source may let duplicates through, or remember for longer', async (t) => {
  const source = (id: string, dedup: unknown) => ({ ...makeSource(id, [makeDestination(id)]), config: { dedup } });
  const run = setup(t, { sources: [source('off', false), source('day', { windowMs: 24 * hourMs }), ...sources] });
  const at = (id: string, receivedAtMs: number) =>
    event('m', { partition: id, receivedAtMs, parameters: { source_id: id, workspace_id: 'ws-1' } });
  for (const ms of [0, 1_000, 10 * hourMs])
    run.add(
      'gw',
      ['off', 'day', 'src'].map((id) => at(id, ms)),
    );
  await finish(run);
  const counts = ['off', 'day', 'src'].map((id) => run.storage.counted('deduplicated', id, ''));
  assert.deepEqual(counts, [0, 2, 1]);
});

test('an event that is aborted may come again, and be tried again', async (t) => {
  const run = setup(t, { sources: [makeSource('other', [])] });
  run.add('gw', [event('early')]);
  await finish(run);
  assert.equal(run.storage.inState('gw', 'aborted').length, 1);
  run.publish(sources);
  run.add('gw', [event('early'), event('early')]);
  await finish(run);
  assert.deepEqual(routed(run), ['early']);
  assert.equal(run.storage.counted('deduplicated', 'src', ''), 1);
});

test("what is tried again is nobody's duplicate, and what comes after it is", async (t) => {
  const run = setup(t);
  run.add('gw', [event('done')]);
  await finish(run);
  const retried = (name: string) =>
    event(name, { parameters: { source_id: 'src', workspace_id: 'ws-1', retry: { of: 1 } } });
  run.add('gw', [retried('done'), retried('lost'), event('lost'), event('done')]);
  await finish(run);
  assert.deepEqual(routed(run), ['done', 'done', 'lost']);
  assert.equal(run.storage.counted('deduplicated', 'src', ''), 2);
  const parents = [...run.storage.jobs.values()].filter(({ queue }) => queue === 'rt').map(({ job }) => job.parentId);
  assert.deepEqual(parents, [1, 1, 1], 'under the keys of the job it was');
});

test('an event is no duplicate of itself when storage refuses its batch', async (t) => {
  const run = setup(t);
  run.storage.fault = (commit) => {
    const hasBad = commit.jobs.some(({ rows }) => readJobs(rows).some(({ messageId }) => messageId === 'e37'));
    return hasBad ? { refuse: 'invalid byte sequence' } : undefined;
  };
  run.add(
    'gw',
    names(100).map((name) => event(name)),
  );
  await finish(run);
  assert.equal(routed(run).length, 99);
  run.storage.fault = () => undefined;
  run.add('gw', [event('e37'), event('e38')]);
  await finish(run);
  assert.equal(routed(run).at(-1), 'e37', 'the poison itself was given back');
  assert.equal(run.storage.counted('deduplicated', 'src', ''), 1);
});

test('whatever is lost, every id is processed once and each other copy dropped', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const run = setup(t, { seed });
    const random = seededRandom(seed);
    const faults = ['lostBefore', 'lostAfter', 'failBefore'] as const;
    run.storage.fault = () => (random.next() < 0.2 ? faults[random.integer(3)] : undefined);
    for (let round = 0; round < 4; round += 1) {
      run.add(
        'gw',
        Array.from({ length: 150 }, () => event(`e${random.integer(200)}`)),
      );
      await run.advance(random.integer(20));
      await run.kill(random.next() < 0.5 ? 'actors' : 'storage');
    }
    await finish(run);
    const ids = new Set([...run.storage.jobs.values()].map(({ job }) => job.messageId));
    assert.deepEqual(routed(run).toSorted(), [...ids].toSorted(), `seed ${seed}`);
    assert.equal(run.storage.counted('processed', 'src', ''), ids.size);
    assert.equal(run.storage.counted('deduplicated', 'src', ''), 600 - ids.size);
    assert.ok(run.storage.seenReads > 0, `seed ${seed} read nothing back`);
  }
});
