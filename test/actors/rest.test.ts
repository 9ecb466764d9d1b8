// A router whose jobs all wait for a retry that is far away holds nothing meanwhile: it is put away, storage leaves its
// partition alone and wakes it when the time has come, or when there is something else to do.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HandOff } from '../../actors/storage/hand-off.ts';
import { JobRowWriter, patchJobId } from '../../actors/storage/job-row.ts';
import type { StoredRow } from '../../actors/storage/partition.ts';
import type { NewJob } from '../support/memory-storage.ts';
import { findOvertaking } from '../support/order-checker.ts';
import { VirtualPipeline } from '../support/virtual-pipeline.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

const retryMs = 300_000;

function job(user: string, sequence: number): NewJob {
  return {
    partition: 'd1',
    userId: `<<>>${user}<<>>`,
    parameters: {
      source_id: 'src',
      destination_id: 'd1',
      workspace_id: 'ws-1',
      request: { method: 'POST', endpoint: 'http://h/', headers: {}, params: {}, format: 'JSON' },
    },
    payload: { userId: user, sequence },
  };
}

function setup(t: TestContext): VirtualPipeline {
  const run = new VirtualPipeline({
    sources: [makeSource('src', [makeDestination('d1')])],
    settings: { router: { idleMs: 10_000, retryWindowMs: 86_400_000 } },
  });
  t.after(() => assert.deepEqual(run.storage.violations, []));
  return run;
}

const residents = (run: VirtualPipeline): number => run.system('actors').stats().actorsByKind.router ?? 0;

test('a router that can only wait is put away and comes back for the retry', async (t) => {
  const run = setup(t);
  run.destinations.answer = ({ event }) =>
    event.userId === 'dead' && run.destinations.requests.length <= 2 ? { code: 503, retryAfterMs: retryMs } : 200;
  run.add('rt', [job('dead', 1), job('dead', 2), job('alive', 1)]);
  await run.until('the first failure', () => run.storage.inState('rt', 'failed').length === 1);
  assert.equal(residents(run), 1);
  await run.advance(20_000);
  assert.equal(residents(run), 0, 'it holds nothing while it waits');
  assert.equal(run.destinations.requests.length, 2);
  await run.until('all delivered', () => run.storage.unfinished('rt').length === 0);
  const [first, , second] = run.destinations.requests;
  const waitedMs = (second?.sentAtMs ?? 0) - (first?.sentAtMs ?? 0);
  assert.ok(waitedMs >= retryMs && waitedMs < retryMs + 2_000, `waited ${waitedMs} ms`);
  assert.deepEqual(
    findOvertaking(
      run.destinations.requests.map(({ event }) => ({
        userId: String(event.userId),
        sequence: Number(event.sequence),
      })),
    ),
    [],
  );
});

test('a new job ends the rest at once, and what waits goes on waiting', async (t) => {
  const run = setup(t);
  run.destinations.answer = ({ event }) => (event.userId === 'dead' ? { code: 503, retryAfterMs: retryMs } : 200);
  run.add('rt', [job('dead', 1)]);
  await run.advance(30_000);
  assert.equal(residents(run), 0);
  run.add('rt', [job('alive', 1)]);
  await run.advance(100);
  assert.deepEqual(
    run.destinations.requests.map(({ event }) => event.userId),
    ['dead', 'alive'],
  );
});

test('a retry that is near is waited for, however quiet it is meanwhile', async (t) => {
  const run = setup(t);
  run.destinations.answer = () => (run.destinations.requests.length === 1 ? { code: 503, retryAfterMs: 14_000 } : 200);
  run.add('rt', [job('ann', 1)]);
  await run.advance(13_000);
  assert.equal(residents(run), 1);
  await run.advance(1_100);
  assert.equal(run.destinations.requests.length, 2);
});

/** A hand-off whose consumer was handed its only job and closed the partition until `restUntilMs`. */
function rested(isFull: boolean) {
  const state = { nowMs: 1_000_000, wakes: 0, stored: 0 };
  const handOff = new HandOff({
    reader: {
      readRanges: () => Promise.reject(new Error('unused')),
      readIds: () => Promise.reject(new Error('unused')),
    },
    hand: () => true,
    wake: () => {
      state.wakes += 1;
    },
    watermark: () => state.stored,
    nowMs: () => state.nowMs,
    onReadFailed: () => undefined,
    bytesMax: 1_000_000,
    readRowsMax: 10,
    readBytesMax: 10_000,
  });
  const store = (): void => {
    state.stored += 1;
    handOff.serve([handOff.stored('rt', 'd1', row(state.stored))]);
  };
  handOff.open('rt', 'd1', 1);
  store();
  handOff.pull('rt', 'd1', 1, 5);
  const restUntilMs = state.nowMs + 60_000;
  handOff.close({ queue: 'rt', partition: 'd1', session: 1, restUntilMs, isFull });
  return { handOff, state, store, restUntilMs };
}

function row(jobId: number): StoredRow {
  const writer = new JobRowWriter(256);
  const texts = { partition: 'd1', userId: 'u', messageId: `m${jobId}`, parameters: '{}' };
  writer.append({ jobId: 0, parentId: 0, receivedAtMs: 1, ...texts }, [Buffer.from('{}')]);
  const source = Buffer.from(writer.take().rows);
  patchJobId(source, 0, jobId);
  return { jobId, source, start: 0, byteLength: source.byteLength };
}

test('storage wakes a resting partition when its time has come, not before, and again until it opens', () => {
  const { handOff, state, restUntilMs } = rested(false);
  for (state.nowMs += 1_000; state.nowMs < restUntilMs; state.nowMs += 1_000) handOff.sweep();
  handOff.wakeAll();
  assert.equal(state.wakes, 1, 'the lost thread of somebody else: its time has come by now');
  for (let second = 0; second < 3; second += 1, state.nowMs += 1_000) handOff.sweep();
  assert.equal(state.wakes, 4);
  handOff.open('rt', 'd1', 2);
  handOff.sweep();
  assert.equal(state.wakes, 4);
});

test('new jobs end a rest, unless there is no room for them', () => {
  for (const isFull of [false, true]) {
    const { handOff, state, store, restUntilMs } = rested(isFull);
    store();
    handOff.wakeAll();
    assert.equal(state.wakes > 0, !isFull, `full: ${isFull}`);
    state.nowMs = restUntilMs;
    handOff.sweep();
    assert.ok(state.wakes > 0);
  }
});
