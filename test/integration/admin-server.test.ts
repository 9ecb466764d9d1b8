// The admin server over real HTTP.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { Script } from 'node:vm';
import { type AdminServerOptions, openAdminServer, probeTimeoutMs } from '../../actors/admin/admin-server.ts';
import { AdminError, type AdminRoute, adminBodyBytesMax } from '../../actors/admin/contract.ts';
import { realSeams } from '../../runtime/index.ts';

const status: Awaited<ReturnType<AdminServerOptions['status']>> = {
  program: { version: '0', nodeVersion: '20', pid: 1, startedAtMs: 1, nowMs: 2 },
  alarms: [],
  threads: [],
  actors: { resident: 0, parked: 0, restarts: 0, deadLetters: {} },
  parked: [],
  saturating: [],
  queues: [],
  partitions: [],
  partitionsTotal: 0,
  ledger: { accepted: 3 },
  ledgerRows: [],
  workspace: { path: 'w', version: 1, hash: '', loadedAtMs: 1, sources: 0, destinations: 0 },
  services: [],
  destinations: [],
  pendingEvents: [],
  lastErrors: [],
};

async function setup(t: TestContext, changes: Partial<AdminServerOptions> = {}) {
  const logged: string[] = [];
  const line = (_fields: Record<string, unknown>, text: string): void => {
    logged.push(text);
  };
  const server = await openAdminServer({
    host: '127.0.0.1',
    port: 0,
    log: { debug: line, info: line, warn: line, error: line },
    clock: realSeams().clock,
    probes: [],
    status: async () => status,
    metrics: (_request, response) => response.end('sluice_up 1\n'),
    ...changes,
  });
  t.after(() => server.close());
  return { server, logged };
}

interface Answer {
  status: number;
  headers: Record<string, unknown>;
  text: string;
}

function ask(
  url: string,
  path: string,
  options: { method?: string; host?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', host, body = '' } = options;
    const headers = { ...(host === undefined ? {} : { Host: host }), ...options.headers };
    const outgoing = request(new URL(path, url), { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    outgoing.on('error', reject).end(body);
  });
}

test('says that it lives, serves metrics and answers unknown paths with JSON', async (t) => {
  const { server } = await setup(t);
  assert.deepEqual((await ask(server.url, '/livez')).status, 200);
  assert.equal((await ask(server.url, '/metrics')).text, 'sluice_up 1\n');
  const unknown = await ask(server.url, '/nothing?x=1');
  assert.equal(unknown.status, 404);
  assert.equal(JSON.parse(unknown.text).error, 'not found');
});

test('asks every probe anew for each request and names all reasons', async (t) => {
  let reason: string | undefined = 'no connection';
  const probes = [
    { name: 'postgres', check: () => reason },
    {
      name: 'storage',
      check: async () => (reason === undefined ? undefined : Promise.reject(new Error('is stopped'))),
    },
    { name: 'threads', check: () => undefined },
  ];
  const { server } = await setup(t, { probes });
  const waiting = await ask(server.url, '/readyz');
  assert.equal(waiting.status, 503);
  assert.deepEqual(JSON.parse(waiting.text), {
    ready: false,
    reasons: [
      { probe: 'postgres', reason: 'no connection' },
      { probe: 'storage', reason: 'is stopped' },
    ],
  });
  reason = undefined;
  const ready = await ask(server.url, '/readyz');
  assert.deepEqual([ready.status, ready.text], [200, 'ready\n']);
});

test('takes the silence of a probe as a reason', async (t) => {
  const timers: { delayMs: number; fire: () => void }[] = [];
  let armed = (): void => undefined;
  const isArmed = new Promise<void>((resolve) => {
    armed = resolve;
  });
  const clock = {
    ...realSeams().clock,
    nowMs: () => 0,
    monotonicMs: () => 0,
    setTimer: (delayMs: number, fire: () => void) => {
      timers.push({ delayMs, fire });
      armed();
      return { cancel: () => undefined };
    },
  };
  const { server } = await setup(t, { clock, probes: [{ name: 'stuck', check: () => new Promise(() => undefined) }] });
  const answer = ask(server.url, '/readyz');
  await isArmed;
  assert.equal(timers[0]?.delayMs, probeTimeoutMs);
  timers[0]?.fire();
  assert.match((await answer).text, /gave no answer within 1000 ms/);
});

test('tells the status with readiness, and hides its own failures behind a 500', async (t) => {
  const { server } = await setup(t);
  assert.deepEqual(JSON.parse((await ask(server.url, '/status')).text), { ready: true, reasons: [], ...status });
  const broken = await setup(t, { status: () => Promise.reject(new Error('secret detail')) });
  const answer = await ask(broken.server.url, '/status');
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.text, /secret detail/);
  assert.deepEqual(broken.logged, ['an admin request failed']);
});

test('serves a page whose policy allows exactly its own script and style', async (t) => {
  const { server } = await setup(t);
  const page = await ask(server.url, '/');
  const policy = String(page.headers['content-security-policy']);
  for (const kind of ['script', 'style']) {
    const inline = new RegExp(`<${kind}>([\\s\\S]*)</${kind}>`).exec(page.text)?.[1] ?? '';
    assert.ok(inline.length > 500);
    if (kind === 'script') assert.doesNotThrow(() => new Script(inline));
    const digest = createHash('sha256').update(inline).digest('base64');
    assert.ok(policy.includes(`${kind}-src 'sha256-${digest}'`), kind);
  }
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(page.text, /https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
});

test('refuses other methods and hosts that are not this machine', async (t) => {
  const { server } = await setup(t);
  assert.equal((await ask(server.url, '/status', { method: 'POST' })).status, 405);
  assert.equal((await ask(server.url, '/livez', { method: 'HEAD' })).status, 200);
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1']) {
    assert.equal((await ask(server.url, '/status', { host })).status, 421, host);
  }
  for (const host of ['localhost', 'localhost:8081', '127.0.0.1:1', '[::1]:8081']) {
    assert.equal((await ask(server.url, '/livez', { host })).status, 200, host);
  }
});

test('rejects with the code of the system when its port is taken', async (t) => {
  const { server } = await setup(t);
  await assert.rejects(setup(t, { port: server.port }), { code: 'EADDRINUSE' });
});

test('asks everybody but the health checks for the token, as bearer or as Basic password', async (t) => {
  const { server } = await setup(t, { token: 'top secret' });
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  const refused = await ask(server.url, '/status');
  assert.equal(refused.status, 401);
  assert.match(String(refused.headers['www-authenticate']), /^Basic /);
  for (const authorization of ['Bearer wrong', basic('top secret:'), basic('x:top secre'), 'top secret', '']) {
    assert.equal((await ask(server.url, '/metrics', { headers: { authorization } })).status, 401, authorization);
  }
  const good = await ask(server.url, '/status', { headers: { authorization: basic('x:top secret') } });
  assert.equal(good.status, 200);
  assert.equal((await ask(server.url, '/readyz', { host: 'sluice.example' })).status, 200);
  const bearer = await setup(t, { token: 'abc' });
  assert.equal((await ask(bearer.server.url, '/', { headers: { authorization: 'bearer abc' } })).status, 200);
});

test('brings requests to the routes of the parts, and keeps pages of other origins out', async (t) => {
  const routes: AdminRoute[] = [
    {
      method: 'POST',
      path: '/things/:name/open',
      doc: 'opens a thing',
      handle: async ({ params, query, json }) => ({
        status: 202,
        json: { name: params.name, by: query.get('by'), body: await json() },
      }),
    },
    {
      method: 'GET',
      path: '/things/:name',
      doc: 'tells of a thing',
      handle: ({ params }) => {
        throw new AdminError(404, `expected a thing that exists, got "${params.name}"`);
      },
    },
  ];
  const { server } = await setup(t, { routes });
  const opened = await ask(server.url, '/things/a%2Fb/open?by=me', { method: 'POST', body: '{"x":1}' });
  assert.equal(opened.status, 202);
  assert.deepEqual(JSON.parse(opened.text), { name: 'a/b', by: 'me', body: { x: 1 } });
  const broken = await ask(server.url, '/things/a/open', { method: 'POST', body: '{' });
  assert.equal(broken.status, 400);
  assert.match(JSON.parse(broken.text).error, /expected the body to be JSON/);
  const large = await ask(server.url, '/things/a/open', { method: 'POST', body: 'x'.repeat(adminBodyBytesMax + 1) });
  assert.equal(large.status, 413);
  const missing = await ask(server.url, '/things/a');
  assert.deepEqual([missing.status, JSON.parse(missing.text).error], [404, 'expected a thing that exists, got "a"']);
  const wrongMethod = await ask(server.url, '/things/a/open');
  assert.deepEqual([wrongMethod.status, wrongMethod.headers.allow], [405, 'POST']);
  const foreign = await ask(server.url, '/things/a/open', {
    method: 'POST',
    headers: { origin: 'https://evil.example' },
  });
  assert.equal(foreign.status, 403);
  const own = { origin: server.url.replace(/\/$/, '') };
  assert.equal((await ask(server.url, '/things/a/open', { method: 'POST', headers: own })).status, 202);
  assert.equal((await ask(server.url, '/things/%E0%A4%A')).status, 404);
});
