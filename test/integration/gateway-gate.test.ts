// What clients see of limits and suppressions, over real HTTP: refusals with what they need to come back, and silence
// about who is suppressed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventGate } from '../../actors/services/event-gate.ts';
import { RateLimiter } from '../../actors/services/rate-limiter.ts';
import { ServiceHealth } from '../../actors/services/service-health.ts';
import { SuppressedUsers } from '../../actors/services/suppressed-users.ts';
import { SuppressionStore } from '../../actors/services/suppression-store.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { realSeams } from '../../runtime/seams.ts';
import { memoryKeyValueStore } from '../../transport/index.ts';
import { silentLog } from '../support/database.ts';
import { setup, track } from '../support/gateway-fixture.ts';

const { clock } = realSeams();
const parts = { clock, log: { ...silentLog, debug: () => undefined }, metrics: createMetrics() };

async function suppressing(...userIds: string[]): Promise<EventGate> {
  const store = new SuppressionStore({ tables: memoryKeyValueStore(), windowMs: undefined, nowMs: () => 0 });
  const common = { workspaceId: 'workspace-1', sourceIds: [], canceled: false, createdAtMs: 0 };
  await store.apply(userIds.map((userId) => ({ ...common, userId })));
  const health = new ServiceHealth('suppression', parts);
  const open = (): Promise<SuppressionStore> => Promise.resolve(store);
  const users = new SuppressedUsers({ ...parts, open, sync: () => undefined, passUnknown: false, health });
  users.start();
  await Promise.resolve();
  return new EventGate({ suppressedUsers: users, rateLimiter: undefined });
}

const eventOf = (userId: string, messageId: string) => ({ type: 'track', event: 'e', userId, messageId });
const batchOf = (...events: unknown[]): string => JSON.stringify({ batch: events });

test('a sender over his limit is told when to come back and what would still pass', async (t) => {
  const limit = { events: 10, windowMs: 60_000 };
  const limits = { defaultSourceLimit: limit, defaultWorkspaceLimit: undefined };
  const gate = new EventGate({ suppressedUsers: undefined, rateLimiter: new RateLimiter({ ...limits, ...parts }) });
  const { send, storage } = await setup(t, 'node', { gate });
  const events = (count: number): string =>
    batchOf(...Array.from({ length: count }, (_, at) => eventOf('u', `m${at}`)));
  assert.equal((await send('/v1/batch', { body: events(7) })).status, 200);
  const refused = await send('/v1/batch', { body: events(5) });
  assert.deepEqual([refused.status, refused.body], [429, 'max requests limit reached\n']);
  const { headers } = refused;
  assert.deepEqual([headers['x-ratelimit-limit'], headers['x-ratelimit-remaining']], ['10', '3']);
  assert.ok(Number(headers['retry-after']) >= 11 && Number(headers['retry-after']) <= 12);
  assert.equal((await send('/v1/batch', { body: events(3) })).status, 200);
  // What an event says of its job run exempts nobody.
  const claim = { ...eventOf('u', 'm'), context: { sources: { job_run_id: 'run' } } };
  assert.equal((await send('/v1/batch', { body: batchOf(claim) })).status, 429);
  assert.equal(storage.stored.length, 10);
});

test('suppressed events are accepted, counted and not stored', async (t) => {
  const { send, storage } = await setup(t, 'node', { gate: await suppressing('gone') });
  const body = batchOf(eventOf('gone', 'm1'), eventOf('here', 'm2'), { type: 'track' }, eventOf('gone', 'm3'));
  const answer = await send('/v1/batch', { body, headers: { 'X-Sluice-Verdicts': '1' } });
  const { verdicts } = JSON.parse(answer.body) as { verdicts: { messageId: string; ok: boolean }[] };
  assert.deepEqual(
    verdicts.map(({ messageId, ok }) => [messageId, ok]),
    [
      ['m1', true],
      ['m2', true],
      ['', false],
      ['m3', true],
    ],
  );
  assert.deepEqual(
    storage.stored.map(({ messageId }) => messageId),
    ['m2'],
  );
  const counts = storage.commits[0]?.ledger.map(({ kind, count }) => [kind, count]);
  assert.deepEqual(counts, [
    ['accepted', 3],
    ['suppressed', 2],
  ]);
});

test('a request of suppressed users only is answered like any other, and only counted', async (t) => {
  const { answer, storage } = await setup(t, 'node', { gate: await suppressing('u1') });
  assert.deepEqual(await answer('/v1/track', { body: track }), [200, 'ok']);
  assert.deepEqual(storage.commits[0]?.jobs, []);
  assert.deepEqual(
    storage.commits[0]?.ledger.map(({ kind, count }) => [kind, count]),
    [
      ['accepted', 1],
      ['suppressed', 1],
    ],
  );
});

const token = 'secret';
const flags = { 'admin.token': token };
const bearer = { Authorization: `Bearer ${token}` };

function internalBatch(...userIds: string[]): string {
  const properties = { sourceID: 'source-1', workspaceID: 'workspace-1' };
  const needed = { type: 'track', receivedAt: '2026-01-01T00:00:00Z', request_ip: '', rudderId: 'r' };
  return JSON.stringify(userIds.map((userId) => ({ properties, payload: { ...needed, userId, messageId: userId } })));
}

test('what another gateway has accepted is held against the suppressed users as well', async (t) => {
  const { answer, storage } = await setup(t, 'node', { gate: await suppressing('gone'), flags });
  const body = internalBatch('gone', 'here');
  assert.deepEqual(await answer('/internal/v1/batch', { body, headers: bearer }), [200, 'ok']);
  assert.deepEqual(
    storage.stored.map(({ messageId }) => messageId),
    ['here'],
  );
  const counts = storage.commits[0]?.ledger.map(({ kind, count }) => [kind, count]);
  assert.deepEqual(counts, [
    ['accepted', 2],
    ['suppressed', 1],
  ]);
});

test('as long as nobody knows who is suppressed everybody is told to come back', async (t) => {
  const health = new ServiceHealth('suppression', parts);
  const open = (): Promise<SuppressionStore> => Promise.reject(new Error('no folder'));
  const users = new SuppressedUsers({ ...parts, open, sync: () => undefined, passUnknown: false, health });
  users.start();
  t.after(() => users.close());
  const gate = new EventGate({ suppressedUsers: users, rateLimiter: undefined });
  const { send, storage } = await setup(t, 'node', { gate, flags });
  for (const [path, request] of [
    ['/v1/track', { body: track }],
    ['/internal/v1/batch', { body: internalBatch('u'), headers: bearer }],
  ] as const) {
    const refused = await send(path, request);
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);
  }
  assert.equal(storage.commits.length, 0);
});

test('another gateway is limited by the sizes it tells, before anything is read', async (t) => {
  const limit = { 'gateway.internalBatchEventsMax': '10', 'gateway.internalBatchWindowMs': '60000' };
  const { send, storage } = await setup(t, 'node', { flags: { ...flags, ...limit } });
  const sized = (size: string, body: string) => ({ body, headers: { ...bearer, 'X-Batch-Size': size } });
  assert.equal((await send('/internal/v1/batch', sized('8', internalBatch('a')))).status, 200);
  const refused = await send('/internal/v1/batch', sized('3', 'not even JSON'));
  assert.deepEqual([refused.status, refused.body], [429, 'max requests limit reached\n']);
  assert.deepEqual([refused.headers['retry-after'], refused.headers['x-ratelimit-remaining']], ['6', '2']);
  for (const size of ['', 'many', '-1']) {
    assert.equal((await send('/internal/v1/batch', sized(size, internalBatch('a')))).status, 200, size);
  }
  assert.equal(storage.stored.length, 4);
});

test('a job run is not limited where its sender has shown the token, and nowhere else', async (t) => {
  const limits = { defaultSourceLimit: { events: 1, windowMs: 60_000 }, defaultWorkspaceLimit: undefined };
  const gate = new EventGate({ suppressedUsers: undefined, rateLimiter: new RateLimiter({ ...limits, ...parts }) });
  const { answer } = await setup(t, 'node', { gate, flags });
  const run = { 'X-Rudder-Job-Run-Id': 'run' };
  const source = { 'X-Rudder-Source-Id': 'source-1' };
  const body = batchOf(eventOf('a', '1'), eventOf('b', '2'));
  const limited = [429, 'max requests limit reached\n'];
  assert.deepEqual(
    await answer('/v1/batch', { body }),
    [200, 'ok'],
    'a batch that is larger than the limit may pass once',
  );
  assert.deepEqual(await answer('/v1/batch', { body, headers: run }), limited);
  assert.deepEqual(await answer('/internal/v1/retl', { body, headers: { ...bearer, ...source } }), limited);
  assert.deepEqual(await answer('/internal/v1/retl', { body, headers: { ...bearer, ...source, ...run } }), [200, 'ok']);
});

test('events that Postgres refuses do not count the suppressed ones of their request twice', async (t) => {
  const { send, storage } = await setup(t, 'node', { gate: await suppressing('gone') });
  storage.decide = ({ jobs }) => {
    const [{ count = 0 } = {}] = jobs;
    return count > 1 ? { kind: 'refused', reason: 'bad', sqlState: '22000' } : { kind: 'committed' };
  };
  const events = ['gone', 'a', 'b', 'c'].map((user) => eventOf(user, `m-${user}`));
  await send('/v1/batch', { body: batchOf(...events) });
  const kept = storage.commits.filter(({ jobs }) => jobs[0]?.count === 1);
  const sum = (kind: string): number =>
    kept.flatMap(({ ledger }) => ledger).reduce((total, delta) => total + (delta.kind === kind ? delta.count : 0), 0);
  assert.deepEqual([sum('accepted'), sum('suppressed')], [4, 1]);
});
