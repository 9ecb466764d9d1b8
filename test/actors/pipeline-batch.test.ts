// A batch of results: an event that cannot be written leaves nothing of itself in it, and its neighbours as they were.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PipelineBatch } from '../../actors/processor/pipeline-batch.ts';
import { RouteTable } from '../../actors/processor/routes.ts';
import { SourcePlans } from '../../actors/processor/source-plan.ts';
import { EventInHand, type Outcome } from '../../actors/processor/stage.ts';
import { readJobs } from '../../actors/storage/job-row.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

const source = makeSource('src', [makeDestination('d1'), makeDestination('d2')]);
const plan = new SourcePlans({
  routes: new RouteTable({ isolation: 'destination', shards: '' }),
  stages: [],
  taps: [],
}).of(source);
const moment = { nowMs: 0, configVersion: 1 };

/** One row for each body. */
function outcomeOf(jobId: number, bodies: readonly Uint8Array[]): Outcome {
  const payload = Buffer.from('{}');
  const parameters = { source_id: 'src', workspace_id: 'ws-1' };
  const job = {
    jobId,
    parentId: 0,
    partition: 'src',
    userId: 'u',
    messageId: `m-${jobId}`,
    receivedAtMs: 0,
    parameters: '',
    payload,
  };
  const handed = { job, afterId: jobId - 1, again: false, status: undefined };
  const inHand = new EventInHand(handed, parameters, plan, payload, {});
  const routed = bodies.flatMap((body, index) => {
    const route = plan.routes[index];
    return route === undefined ? [] : [{ route, parameters: '{}', body: [body] }];
  });
  return { inHand, run: undefined, routed, filtered: [], aborted: [] };
}

test('an event whose second row cannot be written takes its first one back', () => {
  const batch = new PipelineBatch(0);
  const good = Buffer.from('good');
  // No buffer can hold it: as with whatever else may fail amid an event.
  const unwritable = { byteLength: 2 ** 45 } as Uint8Array;
  batch.succeed(outcomeOf(1, [good]), moment);
  assert.throws(() => batch.succeed(outcomeOf(2, [good, unwritable]), moment), RangeError);
  batch.succeed(outcomeOf(3, [good, good]), moment);
  const { jobs, runs, ledger } = batch.takeResults();
  const rows = jobs.flatMap((stored) => readJobs(stored.rows));
  assert.deepEqual(
    rows.map(({ messageId, partition }) => `${messageId} ${partition}`),
    ['m-1 d1', 'm-3 d1', 'm-3 d2'],
  );
  assert.deepEqual(
    runs.flatMap(({ jobIds }) => jobIds),
    [1, 3],
  );
  assert.equal(ledger.find(({ kind }) => kind === 'processed')?.count, 2);
});
