// Webhooks that failed are kept in PostgreSQL with what came and why, and can be sent again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AdminAnswer } from '../../actors/admin/contract.ts';
import { type Answer, answers } from '../../actors/gateway/answers.ts';
import { WebhookFailures } from '../../actors/gateway/webhook-failures.ts';
import type { WebhookFailure } from '../../actors/gateway/webhook-route.ts';
import type { WebhookRequest } from '../../actors/services/webhook-sources.ts';
import { createMetrics } from '../../runtime/index.ts';
import { type TestScope, testDatabase } from '../support/database.ts';
import { makeSource } from '../support/workspace-objects.ts';

const failureOf = (body: Buffer, status = 400): WebhookFailure => ({
  sourceId: 'hook',
  workspaceId: 'ws',
  status,
  reason: 'invalid json',
  request: { method: 'POST', path: '/v1/webhook', query: 'a=1', headers: {}, remoteAddress: '::1', body },
});

async function setup(t: TestScope) {
  const database = await testDatabase(t);
  const replayed: WebhookRequest[] = [];
  const outcome: { answer: Answer } = { answer: answers.ok };
  const failures = new WebhookFailures({
    postgres: database.open(),
    sourceById: (id) => (id === 'hook' ? makeSource('hook', []) : undefined),
    replay: (_source, request, done) => {
      replayed.push(request);
      done(outcome.answer);
    },
    bytesMax: 1_000,
    metrics: createMetrics(),
    log: { warn: assert.fail },
  });
  const call = async (method: string, path: string, params = {}, query = '') => {
    const route = failures.routes().find((one) => one.method === method && one.path === path);
    assert.ok(route !== undefined);
    const body = () => Promise.resolve(Buffer.alloc(0));
    const answer: AdminAnswer = await route.handle({
      params,
      query: new URLSearchParams(query),
      body,
      json: async () => ({}),
    });
    assert.ok('json' in answer);
    return JSON.parse(JSON.stringify(answer.json));
  };
  return { failures, call, replayed, outcome };
}

test('keeps a failed webhook byte by byte, lists it and sends it again', async (t) => {
  const { failures, call, replayed, outcome } = await setup(t);
  const bytes = Buffer.from([0x7b, 0x00, 0xff]);
  failures.keep(failureOf(bytes));
  failures.keep(failureOf(Buffer.from('second')));
  failures.keep(failureOf(Buffer.from('its sender comes again'), 503));
  await failures.settled();
  const first = await call('GET', '/webhook-failures', {}, 'limit=1');
  const [failure] = first.failures;
  assert.deepEqual([failure.sourceId, failure.reason, failure.bodyBytes], ['hook', 'invalid json', 3]);
  const next = await call('GET', '/webhook-failures', {}, `sourceId=hook&after=${first.next}`);
  assert.equal(next.failures.length, 1);
  const id = String(failure.id);
  const whole = await call('GET', '/webhook-failures/:id', { id });
  assert.equal(whole.bodyBase64, bytes.toString('base64'));
  outcome.answer = answers.invalidJson;
  assert.equal((await call('POST', '/webhook-failures/:id/replay', { id })).stored, false);
  assert.equal((await call('GET', '/webhook-failures/:id', { id })).replayedAt, null);
  outcome.answer = answers.ok;
  assert.equal((await call('POST', '/webhook-failures/:id/replay', { id })).stored, true);
  assert.notEqual((await call('GET', '/webhook-failures/:id', { id })).replayedAt, null);
  assert.deepEqual(replayed[0]?.body, bytes);
  assert.equal(replayed[0]?.query, 'a=1');
  await call('DELETE', '/webhook-failures/:id', { id });
  await assert.rejects(call('GET', '/webhook-failures/:id', { id }), { status: 404 });
});

test('keeps the newest of a source as far as their bytes allow, and always the last one', async (t) => {
  const { failures, call } = await setup(t);
  for (let index = 0; index < 8; index += 1) failures.keep(failureOf(Buffer.alloc(200, index)));
  failures.keep({ ...failureOf(Buffer.alloc(10)), sourceId: 'other' });
  await failures.settled();
  const sizes = async (sourceId: string) => {
    const { failures: listed } = await call('GET', '/webhook-failures', {}, `sourceId=${sourceId}`);
    return listed.map(({ id, bodyBytes }: { id: number; bodyBytes: number }) => [Number(id), bodyBytes]);
  };
  const kept = await sizes('hook');
  assert.ok(kept.length > 0 && kept.length < 8, `expected some to be deleted, got ${kept.length}`);
  assert.equal(kept.at(-1)?.[0], 8, 'the newest is kept');
  assert.equal((await sizes('other')).length, 1);
  failures.keep(failureOf(Buffer.alloc(5_000)));
  await failures.settled();
  assert.deepEqual(
    (await sizes('hook')).map(([, bytes]: [number, number]) => bytes),
    [5_000],
  );
});
