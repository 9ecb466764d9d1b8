// What an operator can do about a destination while the program runs, and that it outlives a restart.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCommand } from '../support/command.ts';
import { eventOf } from '../support/fake-destination.ts';
import { track } from '../support/gateway-client.ts';
import { destinationId, send, startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { type Program, startProgram } from '../support/program.ts';
import { pendingJobs, property } from '../support/status.ts';

async function ask(program: Program, method: string, path: string, body?: unknown) {
  const response = await fetch(`${program.adminUrl}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, json: await response.json() };
}

async function untilPending(program: Program, count: number): Promise<void> {
  await pollUntil(`${count} pending jobs`, async () =>
    pendingJobs(await program.json('/status')) === count ? true : undefined,
  );
}

async function statesOf(program: Program): Promise<unknown[]> {
  const destinations = property(await program.json('/status'), 'destinations');
  assert.ok(Array.isArray(destinations));
  return destinations.map((one) => `${property(one, 'destinationId')} ${property(one, 'state')}`);
}

test('a pause holds over a restart, and a resume lets everything go', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  const paused = await ask(program, 'POST', `/destinations/${destinationId}/pause`, { reason: 'they move house' });
  assert.deepEqual(paused, { status: 200, json: { destinationId, state: 'paused' } });
  await send(program, track('anna', 0));
  await untilPending(program, 1);
  await program.stop();

  const again = await (await startProgram(t, program.options)).waitReady();
  assert.deepEqual(await statesOf(again), [`${destinationId} paused`]);
  await send(again, track('anna', 1));
  await untilPending(again, 2);
  assert.equal(destination.deliveries.length, 0);
  const resumed = await ask(again, 'POST', `/destinations/${destinationId}/resume`);
  assert.deepEqual(resumed.json, { destinationId, wasPaused: true });
  await destination.waitForAccepted(2);
  assert.deepEqual(await statesOf(again), []);
});

test('a drain gives pending jobs up until it is ended', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  await ask(program, 'POST', `/destinations/${destinationId}/pause`);
  await send(program, track('anna', 0));
  await untilPending(program, 1);
  const begun = await ask(program, 'POST', '/drains', { destinationId, reason: 'sent by mistake' });
  assert.equal(begun.status, 201);
  await untilPending(program, 0);
  assert.equal(property(property(await program.json('/status'), 'ledger'), 'aborted'), 1);
  const ended = await ask(program, 'DELETE', `/drains/${property(begun.json, 'id')}`);
  assert.equal(ended.status, 200);
  await ask(program, 'POST', `/destinations/${destinationId}/resume`);
  await send(program, track('anna', 1));
  await destination.waitForAccepted(1);
});

test('a destination that is down is shown, and so is that it is up again', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t, { env: { SLUICE_ROUTER_BREAKER_FAILURES: '3' } });
  destination.respond(() => 503);
  for (let sequence = 0; sequence < 5; sequence += 1) await send(program, track(`user-${sequence}`, sequence));
  await pollUntil('the destination to be shown as down', async () =>
    (await statesOf(program)).includes(`${destinationId} down`) ? true : undefined,
  );
  destination.respond(() => 200);
  await destination.waitForAccepted(5);
  await pollUntil('nothing to be shown', async () => ((await statesOf(program)).length === 0 ? true : undefined));
});

test('a test event tells what the destination answers', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  destination.respond(() => ({ status: 418, body: 'short and stout' }));
  const tested = await ask(program, 'POST', `/destinations/${destinationId}/test`, { event: { type: 'track' } });
  assert.equal(property(tested.json, 'sent'), true);
  assert.equal(property(tested.json, 'code'), 418);
  assert.equal(destination.deliveries.length, 1);
});

test('what is wrong with a request is told', { timeout: 120_000 }, async (t) => {
  const { program } = await startPipeline(t);
  const wrong: [string, string, unknown, number, RegExp][] = [
    ['POST', '/destinations/nobody/pause', {}, 404, /id of a destination of the workspace, got "nobody"/],
    ['POST', `/destinations/${destinationId}/pause`, { why: 1 }, 400, /expected only reason, got why/],
    ['POST', '/drains', {}, 400, /at least one of destinationId, sourceId, jobRunId and jobId/],
    ['POST', '/drains', { destinationId: 7 }, 400, /expected destinationId to be a text, got number/],
    ['POST', '/drains', { jobRunId: 'r', receivedBefore: 'soon' }, 400, /expected receivedBefore to be a time/],
    ['POST', '/drains', [], 400, /expected the body to be a JSON object/],
    ['DELETE', '/drains/7', undefined, 404, /expected the id of a drain, got "7"/],
  ];
  for (const [method, path, body, status, text] of wrong) {
    const answer = await ask(program, method, path, body);
    assert.equal(answer.status, status, `${method} ${path}`);
    assert.match(String(property(answer.json, 'error')), text);
  }
});

test('a user who waits behind an event that failed is shown, and freed by giving that one up', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t);
  const later = { status: 503, body: 'come back', headers: { 'retry-after': '300' } };
  destination.respond((delivery) => (eventOf(delivery).sequence === 0 ? later : 200));
  for (const [user, sequence] of [
    ['anna', 0],
    ['anna', 1],
    ['anna', 2],
    ['ben', 5],
  ] as const) {
    await send(program, track(user, sequence));
  }
  await destination.waitForAccepted(1);
  const [blocked] = await pollUntil('the user to be shown', async () => {
    const { json } = await ask(program, 'GET', `/blocked-users?destinationId=${destinationId}`);
    const found = property(json, 'blockedUsers');
    return Array.isArray(found) && found.length === 1 && property(found[0], 'behind') === 2 ? found : undefined;
  });
  assert.equal(property(blocked, 'code'), 503);
  assert.match(String(property(blocked, 'userId')), /anna/);
  const jobId = String(property(blocked, 'jobId'));
  const listed = await runCommand(['blocked'], { SLUICE_DATA_DIR: program.options.dataDir });
  assert.match(listed.out, new RegExp(`^job ${jobId} .*anna: 2 more wait`, 'm'));
  assert.match(listed.out, /ended with 503.*come back/);
  assert.equal((await ask(program, 'POST', `/blocked-users/${jobId}/release`)).status, 202);
  await destination.waitForAccepted(3);
  assert.deepEqual(
    destination.accepted().map((delivery) => eventOf(delivery).sequence),
    [5, 1, 2],
  );
  await untilPending(program, 0);
  const none = await runCommand(['blocked'], { SLUICE_DATA_DIR: program.options.dataDir });
  assert.match(none.out, /^Nobody waits/);
});
