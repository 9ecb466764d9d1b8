// What was given up can be seen, exported and tried again: once, in order, and with the ledger balanced.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster } from '../support/embedded-cluster.ts';
import { eventOf } from '../support/fake-destination.ts';
import { track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { destinationId, send, sourceId, startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import type { Program } from '../support/program.ts';
import { pendingJobs, property } from '../support/status.ts';

async function ask(program: Program, method: string, path: string, body?: unknown) {
  const response = await fetch(`${program.adminUrl}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

interface Listed {
  jobId: number;
  messageId: string;
  code: number;
  answer: { response: string; reason: string };
  retriedAtMs: number;
}

async function list(program: Program, query = ''): Promise<{ deadLetters: Listed[]; before?: number }> {
  const answer = await ask(program, 'GET', `/dead-letters${query}`);
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text);
}

async function untilIdle(program: Program): Promise<void> {
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
}

test('aborted jobs are listed with their reason, exported, and tried again once', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  destination.respond(() => ({ status: 400, body: 'no such order' }));
  const events = Array.from({ length: 7 }, (_, sequence) => track('anna', sequence));
  for (const event of events) await send(program, event);
  await destination.waitFor('all to be refused', () => destination.deliveries.length === 7);
  await untilIdle(program);

  const first = await list(program, `?destinationId=${destinationId}&limit=4`);
  const second = await list(program, `?before=${first.before}`);
  const listed = [...first.deadLetters, ...second.deadLetters];
  assert.deepEqual(
    listed.map(({ messageId }) => messageId).reverse(),
    events.map(({ messageId }) => messageId),
  );
  assert.deepEqual([listed[0]?.code, listed[0]?.answer.response], [400, 'no such order']);
  assert.deepEqual((await list(program, '?destinationId=other')).deadLetters, []);
  assert.deepEqual((await list(program, '?code=500')).deadLetters, []);
  assert.deepEqual((await list(program, '?until=2020-01-01')).deadLetters, []);

  const lines = (await ask(program, 'GET', '/dead-letters/export')).text.trim().split('\n');
  assert.equal(lines.length, 7);
  assert.equal(property(JSON.parse(JSON.parse(lines[0] ?? '{}').event), 'messageId'), events[6]?.messageId);

  destination.respond(() => 200);
  const [newest] = listed;
  assert.ok(newest);
  const one = await ask(program, 'POST', '/dead-letters/retry', { jobIds: [newest.jobId] });
  assert.deepEqual(JSON.parse(one.text), { retried: 1, alreadyRetried: 0, refused: [], more: false });
  await destination.waitForAccepted(1);
  const rest = await ask(program, 'POST', '/dead-letters/retry', { destinationId, code: 400 });
  assert.equal(JSON.parse(rest.text).retried, 6);
  await destination.waitForAccepted(7);
  await untilIdle(program);
  const again = await ask(program, 'POST', '/dead-letters/retry', { destinationId });
  assert.equal(JSON.parse(again.text).retried, 0);

  const accepted = destination.accepted();
  assert.deepEqual(
    accepted.slice(1).map((delivery) => eventOf(delivery).sequence),
    [0, 1, 2, 3, 4, 5],
    'tried again in the order in which they were accepted',
  );
  const keys = new Set(destination.deliveries.map(({ idempotencyKey }) => idempotencyKey));
  assert.equal(keys.size, 7, 'under the same idempotency keys');
  assert.deepEqual((await list(program)).deadLetters, []);
  assert.equal((await list(program, '?all=true')).deadLetters.filter(({ retriedAtMs }) => retriedAtMs > 0).length, 7);

  const ledger = await readLedger(openCluster(t, program.dataDir));
  assert.deepEqual(ledger.faults(await program.json('/status')), []);
  assert.equal(ledger.count(sourceId, destinationId, 'delivered'), 7);
  assert.equal(ledger.count(sourceId, destinationId, 'aborted'), 0);
});

test('two people who try the same job again at once send it once', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  destination.respond(() => 400);
  for (let sequence = 0; sequence < 5; sequence += 1) await send(program, track('anna', sequence));
  await destination.waitFor('all to be refused', () => destination.deliveries.length === 5);
  await untilIdle(program);
  destination.respond(() => 200);
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => ask(program, 'POST', '/dead-letters/retry', { destinationId })),
  );
  const retried = answers.map(({ text }) => Number(property(JSON.parse(text), 'retried')));
  assert.equal(
    retried.reduce((sum, count) => sum + count, 0),
    5,
  );
  await destination.waitForAccepted(5);
  await untilIdle(program);
  assert.equal(destination.accepted().length, 5);
  const ledger = await readLedger(openCluster(t, program.dataDir));
  assert.deepEqual(ledger.faults(await program.json('/status')), []);
});

test('what is wrong with a request is told', { timeout: 120_000 }, async (t) => {
  const { program } = await startPipeline(t);
  const wrong: [string, string, unknown, RegExp][] = [
    ['GET', '/dead-letters?limit=0', undefined, /expected limit to be an integer from 1 to 200, got \\"0\\"/],
    ['GET', '/dead-letters?since=soon', undefined, /expected since to be a time/],
    ['POST', '/dead-letters/retry', {}, /nothing would mean everything/],
    ['POST', '/dead-letters/retry', { jobIds: [] }, /at least one job id/],
    ['POST', '/dead-letters/retry', { jobIds: ['1'] }, /a list of job ids/],
    ['POST', '/dead-letters/retry', { destination: 'x' }, /expected only jobIds or .*, got destination/],
  ];
  for (const [method, path, body, text] of wrong) {
    const answer = await ask(program, method, path, body);
    assert.equal(answer.status, 400, path);
    assert.match(answer.text, text);
  }
});
