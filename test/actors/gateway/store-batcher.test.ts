// What leads to a commit, what is in it, and what becomes of the requests when something on the way throws.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreBatcher, type StoreOutcome } from '../../../actors/gateway/store-batcher.ts';
import type { JobRowWriter } from '../../../actors/storage/job-row.ts';
import { realTurn } from '../../../runtime/seams.ts';
import { jobsOf, RecordingStorage } from '../../support/recording-storage.ts';

function setup() {
  const lanes = new Map<string, RecordingStorage>();
  const turnEnds: (() => void)[] = [];
  const note = () => {};
  const storage = (lane: string) => {
    const known = lanes.get(lane) ?? new RecordingStorage();
    lanes.set(lane, known);
    return known;
  };
  const batcher = new StoreBatcher({
    storage,
    atTurnEnd: (run) => turnEnds.push(run),
    timeoutMs: 1_000,
    bytesMax: 1_000_000,
    admission: { sent: () => 0, settled: note },
    log: { debug: note, info: note, warn: note, error: note },
  });
  const outcomes: string[] = [];
  const request = (messageId: string, sourceId = 's1', minute = 1, bytes = 10) => ({
    sourceId,
    minute,
    write: (writer: JobRowWriter) => {
      const receivedAtMs = minute * 60_000;
      const job = {
        jobId: 0,
        parentId: 0,
        partition: sourceId,
        userId: 'u',
        messageId,
        receivedAtMs,
        parameters: '{}',
      };
      writer.append(job, [Buffer.alloc(bytes)]);
      if (messageId === 'throws') throw new Error('half way');
    },
    settle: (outcome: StoreOutcome) => outcomes.push(`${messageId} ${outcome}`),
  });
  const endTurn = async () => {
    for (const run of turnEnds.splice(0)) run();
    await realTurn();
  };
  return { batcher, storage, turnEnds, outcomes, request, endTurn };
}

test('commits the requests of one turn together and counts them per source and minute', async () => {
  const { batcher, storage, turnEnds, outcomes, request, endTurn } = setup();
  batcher.store('0', request('a'));
  batcher.store('0', request('b', 's2'));
  batcher.store('0', request('c', 's1'));
  batcher.store('0', request('d', 's1', 2));
  assert.equal(turnEnds.length, 1);
  await endTurn();
  const { commits } = storage('0');
  assert.deepEqual(
    commits.map((commit) => jobsOf(commit).map(({ messageId }) => messageId)),
    [['a', 'b', 'c', 'd']],
  );
  assert.deepEqual(
    commits[0]?.ledger.map(({ minute, sourceId, count }) => [minute, sourceId, count]),
    [
      [1, 's1', 2],
      [1, 's2', 1],
      [2, 's1', 1],
    ],
  );
  assert.deepEqual(outcomes, ['a stored', 'b stored', 'c stored', 'd stored']);
  assert.equal(batcher.bytesWaiting, 0);
  batcher.store('0', request('e'));
  await endTurn();
  assert.equal(commits.length, 2);
});

test('sends what belongs to different lanes to each of them', async () => {
  const { batcher, storage, request, endTurn } = setup();
  batcher.store('0', request('a'));
  batcher.store('1', request('b'));
  await endTurn();
  for (const lane of ['0', '1']) assert.equal(storage(lane).stored.length, 1);
});

test('does not wait for the end of the turn when a batch is large', async () => {
  const { batcher, storage, request, endTurn } = setup();
  batcher.store('0', request('large', 's1', 1, 5_000_000));
  await storage('0').arrived(1);
  batcher.store('0', request('small'));
  await endTurn();
  assert.equal(storage('0').stored.length, 2);
});

test('has room for one request of any size, and for no second one', () => {
  const { batcher, request } = setup();
  assert.ok(batcher.hasRoom(2_000_000));
  batcher.store('0', request('a'));
  assert.ok(batcher.hasRoom(100));
  assert.ok(!batcher.hasRoom(1_000_000));
});

test('never stores half a request, and tells its neighbours to send again', async () => {
  const { batcher, storage, outcomes, request, endTurn } = setup();
  batcher.store('0', request('before'));
  assert.throws(() => batcher.store('0', request('throws')), /half way/);
  batcher.store('0', request('after'));
  await endTurn();
  assert.deepEqual(outcomes, ['before unavailable', 'after stored']);
  assert.deepEqual(
    storage('0').stored.map(({ messageId }) => messageId),
    ['after'],
  );
  assert.equal(batcher.bytesWaiting, 0);
});

test('treats an ask that throws like one that fails', async () => {
  const { batcher, storage, outcomes, request, endTurn } = setup();
  storage('0').ask = () => {
    throw new Error('not even a promise');
  };
  batcher.store('0', request('a'));
  await endTurn();
  assert.deepEqual(outcomes, ['a unavailable']);
  assert.equal(batcher.bytesWaiting, 0);
});
