// The processor actor over the storage model: what it commits, in which order, and what becomes of its work when the
// session, a thread or a commit is lost. Virtual time, real runtime.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Commit } from '../../actors/storage/contract.ts';
import { readJobs } from '../../actors/storage/job-row.ts';
import { seededRandom } from '../../runtime/seams.ts';
import type { NewJob } from '../support/memory-storage.ts';
import { type VirtualOptions, VirtualPipeline } from '../support/virtual-pipeline.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

const sources = [makeSource('src', [makeDestination('d1')])];

function setup(t: TestContext, options: VirtualOptions = {}): VirtualPipeline {
  const run = new VirtualPipeline({ sources, ...options });
  // The router stays out of it: its jobs are looked at where they were stored.
  run.destinations.answer = () => 'hold';
  t.after(() => assert.deepEqual(run.storage.violations, []));
  return run;
}

function event(name: string): NewJob {
  return {
    partition: 'src',
    userId: '<<>>ann<<>>',
    messageId: name,
    parameters: { source_id: 'src', workspace_id: 'ws-1' },
    payload: { type: 'track', event: name },
  };
}

function events(count: number): NewJob[] {
  return Array.from({ length: count }, (_none, index) => event(`e${index}`));
}

/** Message ids of the router jobs, in the order in which they were stored. */
function routed(run: VirtualPipeline): string[] {
  return [...run.storage.jobs.values()].filter(({ queue }) => queue === 'rt').map(({ job }) => job.messageId);
}

function names(count: number): string[] {
  return events(count).map(({ messageId }) => messageId ?? '');
}

async function finish(run: VirtualPipeline): Promise<void> {
  await run.until('all events processed', () => run.storage.unfinished('gw').length === 0);
}

function mentions(commit: Commit, messageId: string): boolean {
  return commit.jobs.some(({ rows }) => readJobs(rows).some((job) => job.messageId === messageId));
}

test('every event becomes a router job, in order, in few commits', async (t) => {
  const run = setup(t, { settings: { processor: { slots: 400 } } });
  run.add('gw', events(1_000));
  await finish(run);
  assert.deepEqual(routed(run), names(1_000));
  assert.equal(run.storage.counted('processed', 'src', ''), 1_000);
  assert.equal(run.storage.counted('routed', 'src', 'd1'), 1_000);
  assert.equal(run.storage.inState('gw', 'succeeded').length, 1_000);
  const runs = run.storage.commits
    .flatMap(({ results }) => results)
    .flatMap(({ queue, runs: own }) => (queue === 'gw' ? own : []));
  assert.ok(
    run.storage.commits.length < 40 && runs.length === run.storage.commits.filter(({ jobs }) => jobs.length > 0).length,
  );
});

test('events stored while the partition is open are processed too', async (t) => {
  const run = setup(t);
  run.add('gw', events(3));
  await finish(run);
  run.add('gw', [event('late')]);
  await finish(run);
  assert.deepEqual(routed(run), [...names(3), 'late']);
});

test('an open session that storage has forgotten is opened again on its word', async (t) => {
  const run = setup(t);
  run.add('gw', events(3));
  await finish(run);
  await run.advance(2_000);
  await run.kill('storage');
  run.add('gw', [event('late')]);
  await finish(run);
  assert.deepEqual(routed(run), [...names(3), 'late']);
});

test('nothing is processed, and nothing aborted, before the workspace has arrived', async (t) => {
  const run = new VirtualPipeline();
  t.after(() => assert.deepEqual(run.storage.violations, []));
  run.add('gw', events(5));
  await run.advance(5_000);
  assert.equal(run.storage.commits.length, 0);
  run.publish(sources);
  await finish(run);
  assert.equal(run.storage.inState('gw', 'succeeded').length, 5);
});

test('events of a source that is gone are aborted with the reason, not lost silently', async (t) => {
  const run = setup(t, { sources: [makeSource('other', [])] });
  run.add('gw', events(2));
  await finish(run);
  const aborted = run.storage.inState('gw', 'aborted');
  assert.deepEqual(
    aborted.map(({ status }) => status?.response),
    Array(2).fill('{"reason":"source not found","stage":"preprocess","configVersion":1}'),
  );
  assert.equal(run.storage.counted('aborted', 'src', ''), 2);
});

test('the one event whose results storage refuses is aborted; all others are kept, in order', async (t) => {
  // Slow commits, so that the next batch is always under way behind the refused one.
  const run = setup(t, { settings: { processor: { slots: 24 } } });
  run.storage.commitMs = 20;
  run.storage.fault = (commit) => (mentions(commit, 'e37') ? { refuse: 'invalid byte sequence' } : undefined);
  run.add('gw', events(100));
  await finish(run);
  assert.deepEqual(
    routed(run),
    names(100).filter((name) => name !== 'e37'),
  );
  const aborted = run.storage.inState('gw', 'aborted');
  assert.deepEqual(
    aborted.map(({ job }) => job.messageId),
    ['e37'],
  );
  assert.match(aborted[0]?.status?.response ?? '', /invalid byte sequence/);
  assert.equal(run.storage.counted('processed', 'src', '') + run.storage.counted('aborted', 'src', ''), 100);
});

test('when the partition was opened by another session, everything is forgotten and done once', async (t) => {
  const run = setup(t);
  run.add('gw', events(50));
  let stolen = false;
  run.storage.fault = () => {
    if (!stolen) run.ref('storage', '0').tell({ kind: 'openPartition', queue: 'gw', partition: 'src', session: 1 });
    stolen = true;
    return undefined;
  };
  await finish(run);
  assert.deepEqual(routed(run), names(50));
  assert.ok(
    run.logs.some((line) => line.includes('"reason":"stale"')),
    run.logs.join('\n'),
  );
});

test('commits whose answers never come are neither lost nor done twice', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const run = setup(t, { seed });
    const random = seededRandom(seed);
    const faults = ['lostBefore', 'lostAfter', 'failBefore'] as const;
    run.storage.fault = () => (random.next() < 0.3 ? faults[random.integer(3)] : undefined);
    run.add('gw', events(300));
    await finish(run);
    assert.deepEqual(routed(run).toSorted(), names(300).toSorted(), `seed ${seed}`);
    assert.equal(run.storage.counted('processed', 'src', ''), 300);
  }
});

test('a lost thread, whichever it is, costs neither events nor their order', async (t) => {
  for (const thread of ['actors', 'storage'] as const) {
    for (let seed = 1; seed <= 10; seed += 1) {
      const run = setup(t, { seed });
      run.add('gw', events(400));
      await run.advance(seededRandom(seed).integer(8));
      await run.kill(thread);
      await finish(run);
      assert.deepEqual(routed(run), names(400), `${thread}, seed ${seed}`);
    }
  }
});

test('an idle processor is put away and wakes with the next event', async (t) => {
  const run = setup(t, { settings: { processor: { idleMs: 1_000 } } });
  run.add('gw', events(1));
  await finish(run);
  await run.until('the processor is put away', () => run.system('actors').stats().actorsByKind.processor === 0, 10_000);
  run.add('gw', [event('late')]);
  await finish(run);
  assert.deepEqual(routed(run), ['e0', 'late']);
});

test('a drain commits what was processed and releases the rest', async (t) => {
  const run = setup(t);
  run.storage.commitMs = 50;
  run.add('gw', events(400));
  await run.advance(10);
  const drained = run.system('actors').drain(5_000);
  await run.advance(1_000);
  assert.deepEqual(await drained, { clean: true, unfinished: [] });
  const done = routed(run);
  assert.ok(done.length > 0);
  assert.deepEqual(done, names(done.length));
  assert.equal(run.storage.unfinished('gw').length, 400 - done.length);
});
