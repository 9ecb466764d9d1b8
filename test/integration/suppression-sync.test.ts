// Suppressions of a real control plane: pages, restarts in the middle, bad answers, and what is let pass until all is
// known.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { controlPlaneName } from '../../actors/services/control-plane.ts';
import { ServiceClient } from '../../actors/services/service-client.ts';
import { ServiceHealth } from '../../actors/services/service-health.ts';
import { SuppressionStore } from '../../actors/services/suppression-store.ts';
import { SuppressionSync } from '../../actors/services/suppression-sync.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { realSeams } from '../../runtime/seams.ts';
import { type KeyValueStore, memoryKeyValueStore } from '../../transport/index.ts';
import { TestControlPlane } from '../support/control-plane.ts';
import { silentLog } from '../support/database.ts';

const path = '/dataplane/workspaces/w1/regulations/suppressions';

interface Item {
  workspaceId: string;
  userId: string;
  canceled?: boolean;
  createdAt?: string;
  sourceIds?: string[];
}

/** Tokens are places in the list. */
async function startPlane(t: TestContext, items: Item[]) {
  const plane = new TestControlPlane();
  await plane.listen(t);
  const tokens: string[] = [];
  plane.routes.set(path, (_request, response, url) => {
    const token = url.searchParams.get('pageToken') ?? '';
    tokens.push(token);
    const from = token === '' ? 0 : Number(token.slice(1));
    const page = items.slice(from, from + Number(url.searchParams.get('pageSize')));
    response.end(JSON.stringify({ items: page, token: `t${from + page.length}` }));
  });
  return { plane, tokens };
}

function follow(t: TestContext, plane: TestControlPlane, tables: KeyValueStore, owner = 'workspaces/w1') {
  const { clock, random } = realSeams();
  const store = new SuppressionStore({ tables, windowMs: undefined, nowMs: () => clock.nowMs() });
  const health = new ServiceHealth('suppression', {
    clock,
    log: { ...silentLog, debug: () => {} },
    metrics: createMetrics(),
  });
  const client = new ServiceClient({ name: controlPlaneName, answerBytesMax: 64 * 1024 });
  const sync = new SuppressionSync({
    client,
    url: `${plane.url}/`,
    token: plane.token,
    owner: () => owner,
    pageSize: 2,
    pollMs: 3_600_000,
    timeoutMs: 1_000,
    store,
    health,
    clock,
    random,
  });
  t.after(async () => {
    await sync.close();
    await client.close();
  });
  return { store, sync, health };
}

const users = (...names: string[]): Item[] => names.map((userId) => ({ workspaceId: 'w1', userId }));

test('every page is asked for once, then only what is new, also after a restart', async (t) => {
  const items = users('a', 'b', 'c', 'd', 'e');
  const { plane, tokens } = await startPlane(t, items);
  const tables = memoryKeyValueStore();
  const first = follow(t, plane, tables);
  assert.equal(first.sync.isComplete, false);
  assert.equal(await first.sync.now(), true);
  assert.deepEqual(tokens, ['', 't2', 't4']);
  assert.equal(first.sync.isComplete, true);
  assert.ok(first.store.isSuppressed('w1', 'e', 's'));
  items.push({ workspaceId: 'w1', userId: 'a', canceled: true }, { workspaceId: 'w1', userId: 'f', sourceIds: ['s1'] });
  const second = follow(t, plane, tables);
  assert.equal(second.sync.isComplete, true, 'what is kept counts from the start');
  await second.sync.now();
  assert.deepEqual(tokens.slice(3), ['t5', 't7']);
  assert.ok(!second.store.isSuppressed('w1', 'a', 's'));
  assert.ok(second.store.isSuppressed('w1', 'f', 's1'));
});

test('a sync that breaks goes on where it was, and is not complete before its end', async (t) => {
  const { plane, tokens } = await startPlane(t, users('a', 'b', 'c'));
  const { sync, store, health } = follow(t, plane, memoryKeyValueStore());
  const serve = plane.routes.get(path);
  plane.routes.set(path, (request, response, url) => {
    if (url.searchParams.get('pageToken') === 't2') response.writeHead(500).end();
    else serve?.(request, response, url);
  });
  assert.equal(await sync.now(), false);
  assert.equal(health.status().state, 'degraded');
  assert.equal(sync.isComplete, false);
  assert.ok(store.isSuppressed('w1', 'a', 's'));
  if (serve !== undefined) plane.routes.set(path, serve);
  assert.equal(await sync.now(), true);
  assert.deepEqual(tokens, ['', 't2']);
  assert.equal(sync.isComplete, true);
});

const badPages: [string, (response: ServerResponse) => void, RegExp][] = [
  ['no JSON', (r) => r.end('{"items":'), /valid JSON/],
  ['another type', (r) => r.end('{"items":{},"token":"t"}'), /a page of suppressions, got something else at items/],
  ['no token', (r) => r.end('{"items":[]}'), /something else at token/],
  ['an empty token', (r) => r.end('{"items":[],"token":""}'), /something else at token/],
  ['a user who is none', (r) => r.end('{"items":[{"workspaceId":"w1","userId":7}],"token":"t"}'), /items\.0\.userId/],
  ['a refused token', (r) => r.writeHead(403).end(), /refused the token \(403\)/],
  ['a failure', (r) => r.writeHead(502).end(), /got 502/],
  ['a huge page', (r) => r.end('x'.repeat(65 * 1024)), /at most 65536 bytes/],
  ['no answer', () => undefined, /did not answer within 1000 ms/],
  [
    'a full page that leads nowhere',
    (r) => r.end(JSON.stringify({ items: users('x', 'y', 'z'), token: 't1' })),
    /a new token behind a full page/,
  ],
];

test('a bad page is refused whole and says why', async (t) => {
  const { plane } = await startPlane(t, users('a'));
  const { sync, store, health } = follow(t, plane, memoryKeyValueStore());
  await sync.now();
  for (const [what, answer, reason] of badPages) {
    plane.bad = answer;
    assert.equal(await sync.now(), false, what);
    assert.match(health.status().lastError?.text ?? '', reason, what);
    assert.deepEqual(
      store.list('', 10).users.map(({ userId }) => userId),
      ['a'],
      what,
    );
  }
});

test('without a workspace there is nobody to ask for', async (t) => {
  const { plane, tokens } = await startPlane(t, []);
  const { sync, health } = follow(t, plane, memoryKeyValueStore(), '');
  assert.equal(await sync.now(), false);
  assert.match(health.status().lastError?.text ?? '', /workspace is not known/);
  assert.deepEqual(tokens, []);
});
