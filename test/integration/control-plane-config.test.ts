// The configuration of a real control plane over real HTTP, with real copies on disk and in Postgres: changes, bad
// answers of every kind, and starts while it is away.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { BackendConfig } from '../../actors/services/backend-config.ts';
import { ConfigCache } from '../../actors/services/config-cache.ts';
import { ControlPlane, controlPlaneName } from '../../actors/services/control-plane.ts';
import { openControlPlaneConfig } from '../../actors/services/control-plane-config.ts';
import { ServiceClient } from '../../actors/services/service-client.ts';
import { ServiceHealth } from '../../actors/services/service-health.ts';
import type { WorkspaceSetChange } from '../../actors/services/workspace-set.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { realSeams, realTurn } from '../../runtime/seams.ts';
import type { Postgres } from '../../transport/index.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { planeSource, TestControlPlane } from '../support/control-plane.ts';
import { silentLog, testDatabase } from '../support/database.ts';

const answerBytesMax = 64 * 1024;
const log = { ...silentLog, debug: () => undefined };

interface Setup {
  namespace?: string;
  url?: string;
  secret?: string;
  path?: string;
  firstAnswerMs?: number;
  postgres?: Postgres;
}

async function open(t: TestContext, plane: TestControlPlane, setup: Setup = {}) {
  const { namespace = '', url = plane.url, secret = 'secret-1', firstAnswerMs = 10_000, postgres } = setup;
  const { clock, random } = realSeams();
  const failures: string[] = [];
  const changes: WorkspaceSetChange[] = [];
  const client = new ServiceClient({ name: controlPlaneName, answerBytesMax });
  const controlPlane = new ControlPlane({ url, token: 'token-1', namespace, timeoutMs: 500 }, client);
  const cache = new ConfigCache({
    path: setup.path ?? join(await temporaryFolder(t), 'cache'),
    table: {
      read: async () =>
        (await postgres?.query<{ content: Buffer }>('select content from sluice_config_cache'))?.rows[0]?.content,
      write: async (name, content) => {
        await postgres?.query('insert into sluice_config_cache (name, content) values ($1, $2)', [name, content]);
      },
    },
    name: 'plane',
    secret,
    turn: realTurn,
    onFailure: (text) => failures.push(text),
  });
  const health = new ServiceHealth('backend-config', { clock, log, metrics: createMetrics() });
  const config = await openControlPlaneConfig({
    controlPlane,
    cache,
    health,
    pollMs: 3_600_000,
    firstAnswerMs,
    environment: undefined,
    log,
    clock,
    random,
    turn: realTurn,
    onSnapshot: (_snapshot, change) => changes.push(change),
  });
  let closed = false;
  const close = async (): Promise<void> => {
    if (!closed) await config.close();
    closed = true;
  };
  t.after(close);
  t.after(() => client.close());
  return { config, health, changes, failures, close };
}

async function startPlane(t: TestContext): Promise<TestControlPlane> {
  const plane = new TestControlPlane();
  await plane.listen(t);
  plane.put('w1', [planeSource('s1'), planeSource('s2')]);
  return plane;
}

const idsOf = (config: BackendConfig): string[] => config.current.sources.map(({ id }) => id);

test('one workspace is followed by its token, and what is unchanged is not even sent', async (t) => {
  const plane = await startPlane(t);
  const { config, health, changes } = await open(t, plane);
  assert.deepEqual(idsOf(config), ['s1', 's2']);
  assert.equal(plane.requests[0], 'GET /workspaceConfig?fetchAll=true');
  assert.equal(await config.reload(), 'unchanged');
  assert.equal(plane.notModified, 1);
  plane.put('w1', [planeSource('s1'), planeSource('s3')]);
  assert.equal(await config.reload(), 'published');
  assert.deepEqual(
    changes.at(-1)?.sources.map(({ id }) => id),
    ['s3'],
  );
  assert.deepEqual(changes.at(-1)?.removedSourceIds, ['s2']);
  assert.equal(config.status().version, 2);
  assert.equal(health.status().state, 'working');
});

test('events of a tracking plan are asked for once; while they cannot be had the status says so', async (t) => {
  const plane = await startPlane(t);
  const plan = { config: { global: {} }, trackingPlan: { id: 'tp', version: 2 } };
  const planned = (id: string) => planeSource(id, { dgSourceTrackingPlanConfig: plan });
  plane.put('w1', [planned('s1'), planned('s2'), planeSource('s3')]);
  const { config, health } = await open(t, plane);
  const eventsOf = () => config.current.sources.map(({ trackingPlan }) => trackingPlan?.events);
  assert.deepEqual(eventsOf(), [undefined, undefined, undefined]);
  assert.match(config.status().lastError?.text ?? '', /not checked by tracking plan tp: .*404/);
  assert.equal(await config.reload(), 'unchanged');
  const events = [{ name: 'Paid', eventType: 'track', rules: {} }];
  const path = '/workspaces/w1/tracking-plans/tp';
  plane.routes.set(path, (_request, response, url) => {
    assert.equal(url.searchParams.get('version'), '2');
    response.end(JSON.stringify({ events }));
  });
  assert.equal(await config.reload(), 'published');
  assert.deepEqual(eventsOf(), [events, events, undefined]);
  assert.equal(health.status().state, 'working');
  plane.put('w1', [planned('s1'), planned('s4')]);
  const asked = plane.requests.filter((request) => request.includes(path)).length;
  assert.equal(await config.reload(), 'published');
  assert.deepEqual(eventsOf(), [events, events]);
  assert.equal(plane.requests.filter((request) => request.includes(path)).length, asked, 'a version never changes');
});

test('a namespace is asked only for what changed since the last answer', async (t) => {
  const plane = await startPlane(t);
  plane.put('w2', [planeSource('s3')]);
  const { config, changes } = await open(t, plane, { namespace: 'tenants' });
  assert.deepEqual(idsOf(config), ['s1', 's2', 's3']);
  plane.put('w2', [planeSource('s4')]);
  assert.equal(await config.reload(), 'published');
  assert.match(plane.requests.at(-1) ?? '', /^GET \/data-plane\/v1\/namespaces\/tenants\/config\?updatedAfter=2026-/);
  assert.deepEqual(
    changes.at(-1)?.sources.map(({ id }) => id),
    ['s4'],
  );
  plane.workspaces.delete('w1');
  await config.reload();
  assert.deepEqual(idsOf(config), ['s4']);
});

const goodBody = (): string => JSON.stringify({ workspaceId: 'w1', sources: [planeSource('other')] });
const badAnswers: [string, (response: ServerResponse) => void, RegExp][] = [
  ['a cut answer', (r) => r.writeHead(200, { 'content-length': 5_000 }).end(goodBody()), /whole answer|connection/],
  ['an answer cut and closed in order', (r) => r.end(goodBody().slice(0, -3)), /valid JSON/],
  ['a page of HTML', (r) => r.end('<html>'), /JSON|table/],
  ['a list', (r) => r.end('[]'), /table/],
  ['sources of another type', (r) => r.end('{"workspaceId":"w1","sources":{}}'), /sources/],
  ['a source without a write key', (r) => r.end('{"workspaceId":"w1","sources":[{"id":"x"}]}'), /writeKey/],
  ['no answer', () => undefined, /did not answer within 500 ms/],
  [
    'a huge answer',
    (r) => r.end(`{"workspaceId":"${'x'.repeat(answerBytesMax)}","sources":[]}`),
    /at most 65536 bytes/,
  ],
  ['a refused token', (r) => r.writeHead(401).end(goodBody()), /refused the token \(401\)/],
  ['a failure', (r) => r.writeHead(500).end(goodBody()), /expected of the control plane status 200, got 500/],
  ['a redirection', (r) => r.writeHead(302, { location: '/' }).end(goodBody()), /got 302/],
];

test('every bad answer is refused with its reason, and the last good configuration stays', async (t) => {
  const plane = await startPlane(t);
  const { config, health } = await open(t, plane);
  for (const [what, answer, reason] of badAnswers) {
    plane.bad = answer;
    assert.equal(await config.reload(), 'refused', what);
    assert.match(config.status().lastError?.text ?? '', reason, what);
    assert.deepEqual(idsOf(config), ['s1', 's2'], what);
    assert.equal(health.status().state, 'degraded', what);
  }
  plane.bad = undefined;
  assert.equal(await config.reload(), 'unchanged');
  assert.equal(config.status().lastError, undefined);
});

test('a start without the control plane takes the copy on disk, and else the one in Postgres', async (t) => {
  const database = await testDatabase(t);
  const postgres = database.open();
  const plane = await startPlane(t);
  const path = join(await temporaryFolder(t), 'cache');
  const first = await open(t, plane, { path, postgres });
  // Closing writes what is not yet kept.
  await first.close();
  assert.deepEqual(first.failures, []);
  plane.bad = (response) => response.writeHead(500).end();
  const second = await open(t, plane, { path, postgres });
  assert.deepEqual(idsOf(second.config), ['s1', 's2']);
  await rm(path);
  const third = await open(t, plane, { path, postgres, namespace: 'tenants' });
  assert.deepEqual(idsOf(third.config), ['s1', 's2']);
  plane.bad = undefined;
  plane.put('w1', [planeSource('s2')]);
  await third.config.reload();
  assert.deepEqual(idsOf(third.config), ['s2']);
  const { rows } = await postgres.query<{ content: Buffer }>('select content from sluice_config_cache');
  assert.equal(rows[0]?.content.includes('wk-s1'), false, 'expected the copy to be encrypted');
});

test('a copy of another secret is not taken, and a start without any configuration is one all the same', async (t) => {
  const plane = await startPlane(t);
  const path = join(await temporaryFolder(t), 'cache');
  await (await open(t, plane, { path })).close();
  plane.bad = () => undefined;
  const { config, failures } = await open(t, plane, { path, secret: 'another', firstAnswerMs: 20 });
  assert.match(failures.join(), /data folder: it was written with another secret/);
  assert.equal(config.current.version, 0);
  plane.bad = undefined;
  await config.reload();
  await config.reload();
  assert.deepEqual(idsOf(config), ['s1', 's2']);
});
