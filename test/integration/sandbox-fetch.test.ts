// `fetch` of customers' code against servers that are really there: what it may reach, and what comes back of it.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { quickJsEngine } from '../../actors/transformations/quickjs-engine.ts';
import { createSandboxFetch } from '../../actors/transformations/sandbox-fetch.ts';
import { createEgressGuard } from '../../transport/index.ts';
import { startDestination } from '../support/fake-destination.ts';
import { itemOf, openSandbox, shown } from '../support/sandbox.ts';

async function run(
  t: TestContext,
  code: string,
  {
    allow = [],
    timeoutMs = 5_000,
    ...event
  }: Record<string, unknown> & {
    allow?: string[];
    timeoutMs?: number;
  },
): Promise<unknown> {
  const fetch = createSandboxFetch(createEgressGuard({ allow }), 'test', timeoutMs);
  const sandbox = await openSandbox(quickJsEngine, code, { fetch });
  t.after(() => sandbox.dispose());
  const { outcomes } = await sandbox.call([itemOf(event)]);
  return shown(outcomes[0]);
}

const local = ['127.0.0.0/8'];

test('code asks a service for each event and adds what it says', async (t) => {
  const server = await startDestination(t);
  server.respond(({ method, headers, body }) => ({
    status: method === 'POST' ? 201 : 200,
    body: JSON.stringify({ method, key: headers['x-key'], sent: body.toString(), country: 'NZ' }),
    headers: { 'content-type': 'application/json', 'x-rate': '7' },
  }));
  const code = `export async function transformEvent(event) {
    const plain = await fetch(event.url);
    const whole = await fetchV2(event.url, { method: 'post', headers: { 'x-key': 'k' }, body: JSON.stringify({ a: 1 }) });
    return { country: plain.country, status: whole.status, rate: whole.headers['x-rate'], body: whole.body };
  }`;
  const body = { method: 'POST', key: 'k', sent: '{"a":1}', country: 'NZ' };
  assert.deepEqual(await run(t, code, { url: server.url(), allow: local }), [
    { country: 'NZ', status: 201, rate: '7', body },
  ]);
});

test('networks behind the firewall are out of reach unless they are allowed, by whatever spelling', async (t) => {
  const server = await startDestination(t);
  const { port } = new URL(server.url());
  const code = `export async function transformEvent(event) {
    return { plain: await fetch(event.url), whole: await fetchV2(event.url).then(() => 'reached', (error) => error.message) };
  }`;
  const spellings = ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0'];
  for (const host of spellings) {
    const [result] = (await run(t, code, { url: `http://${host}:${port}/` })) as [{ plain: unknown; whole: string }];
    assert.equal(result.plain, 'ERROR', host);
    assert.notEqual(result.whole, 'reached', host);
  }
  for (const url of ['file:///etc/passwd', 'ftp://example.com/', 'not a url']) {
    const [result] = (await run(t, code, { url })) as [{ plain: unknown; whole: string }];
    assert.deepEqual([result.plain, result.whole === 'reached'], ['ERROR', false], url);
  }
  assert.equal(server.deliveries.length, 0);
});

test('redirects are not followed, and an answer that does not come ends the wait', async (t) => {
  const server = await startDestination(t);
  server.respond(({ path }) =>
    path === '/hang' ? new Promise(() => {}) : { status: 302, headers: { location: 'http://169.254.169.254/' } },
  );
  const code = `export async function transformEvent(event) {
    return { got: await fetchV2(event.url).then(({ status }) => status, (error) => error.message) };
  }`;
  assert.deepEqual(await run(t, code, { url: server.url('/away'), allow: local }), [{ got: 302 }]);
  const [{ got }] = (await run(t, code, { url: server.url('/hang'), allow: local, timeoutMs: 200 })) as [
    { got: string },
  ];
  assert.match(got, /in time/);
});
