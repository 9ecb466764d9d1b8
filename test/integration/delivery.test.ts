// Deliveries against servers that are really there and behave badly: every way an answer can fail to come must end in
// a code, in time, without holding what belongs to another destination.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { RequestDescriptor } from '../../actors/job.ts';
import { createHttpDelivery, type Delivery, type DeliveryOutcome } from '../../actors/router/delivery.ts';
import { signingKeysOf } from '../../actors/router/signature.ts';
import { createEgressGuard, HttpClient, type HttpClientOptions } from '../../transport/index.ts';
import { makeDestination } from '../support/workspace-objects.ts';

const nowMs = 1_800_000_000_000;
/** Long enough for a loaded machine to answer, short enough to wait for where no answer comes. */
const patientMs = 20_000;
const shortMs = 400;

interface Setup {
  client: HttpClient;
  deliver(url: string, changes?: Partial<RequestDescriptor>, poolKey?: string): Promise<DeliveryOutcome>;
}

function setup(t: TestContext, timeoutMs = patientMs, options: Partial<HttpClientOptions> = {}): Setup {
  const client = new HttpClient({ sweepMs: 10, ...options });
  t.after(() => client.close());
  const delivery = createHttpDelivery(client, { timeoutMs, nowMs: () => nowMs });
  return { client, deliver: (url, changes = {}, poolKey = 'dst-1') => send(delivery, url, changes, poolKey) };
}

function send(
  delivery: Delivery,
  endpoint: string,
  changes: Partial<RequestDescriptor>,
  poolKey: string,
  signingKeys: readonly Buffer[] = [],
) {
  return new Promise<DeliveryOutcome>((resolve) => {
    delivery.send(
      {
        poolKey,
        request: { method: 'POST', endpoint, headers: {}, params: {}, format: 'JSON', ...changes },
        body: Buffer.from('{"type":"track"}'),
        idempotencyKey: 'key-1',
        destination: undefined,
        jobs: 1,
        keepsAnswer: false,
        traceparent: '00-11111111111111111111111111111111-2222222222222222-01',
        signingKeys,
      },
      // What rules look at; not what this file is about.
      ({ headers: _headers, ...outcome }) => resolve(outcome),
    );
  });
}

async function listen(t: TestContext, handle: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` };
}

async function listenTcp(t: TestContext, handle: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
}

test("a delivery carries its body, its idempotency key, the trace and the field's user agent", async (t) => {
  const { deliver } = setup(t);
  let got:
    | { method: string | undefined; url: string | undefined; headers: Record<string, unknown>; body: string }
    | undefined;
  const { url } = await listen(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      got = {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      response.end('thanks');
    });
  });
  const outcome = await deliver(`${url}?a=1`, {
    headers: { 'X-Key': 'k', 'User-Agent': 'mine' },
    params: { b: 2, c: { d: 'e' } },
  });
  assert.deepEqual(outcome, { code: 200, response: '', contentType: '', retryAfterMs: undefined });
  assert.equal(got?.method, 'POST');
  assert.equal(got?.url, `/hook?a=1&b=2&c=${encodeURIComponent('{"d":"e"}').replaceAll('%20', '+')}`);
  assert.equal(got?.body, '{"type":"track"}');
  const { headers } = got;
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['user-agent'], 'RudderLabs');
  assert.equal(headers['idempotency-key'], 'key-1');
  assert.equal(headers.traceparent, '00-11111111111111111111111111111111-2222222222222222-01');
  assert.equal(headers['x-key'], 'k');
});

test('a destination that never answers gives 504 in time and holds nobody else', async (t) => {
  const { deliver } = setup(t, shortMs, { connectionsMax: 1 });
  const dead = await listen(t, () => {});
  const healthy = await listen(t, (_request, response) => response.end());
  const waiting = deliver(dead.url, {}, 'dead');
  assert.equal((await deliver(healthy.url, {}, 'healthy')).code, 200);
  const outcome = await waiting;
  assert.equal(outcome.code, 504);
  assert.match(outcome.response, /HTTP_TIMEOUT/);
});

test('requests that wait in line behind a dead one time out too, and the line is usable afterwards', async (t) => {
  const { deliver, client } = setup(t, shortMs, { connectionsMax: 1 });
  let answers = false;
  const { url } = await listen(t, (_request, response) => {
    if (answers) response.end();
  });
  const outcomes = await Promise.all([deliver(url), deliver(url), deliver(url)]);
  assert.deepEqual(
    outcomes.map(({ code }) => code),
    [504, 504, 504],
  );
  assert.equal(client.inFlight, 0);
  answers = true;
  assert.equal((await deliver(url)).code, 200);
});

test('a connection that is reset gives 504', async (t) => {
  const { deliver } = setup(t);
  const url = await listenTcp(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  const outcome = await deliver(url);
  assert.equal(outcome.code, 504);
  assert.match(outcome.response, /HTTP_CONNECTION_LOST/);
});

test('nobody listening gives 504', async (t) => {
  const { deliver } = setup(t);
  const { url, server } = await listen(t, () => {});
  server.close();
  await once(server, 'close');
  const outcome = await deliver(url);
  assert.equal(outcome.code, 504);
  assert.match(outcome.response, /HTTP_CONNECT_FAILED: .*ECONNREFUSED/);
});

test('an answer that is no HTTP gives 504', async (t) => {
  const { deliver } = setup(t);
  const url = await listenTcp(t, (socket) => socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9.6\r\n')));
  assert.equal((await deliver(url)).code, 504);
});

test('429 keeps its Retry-After and the text of the answer', async (t) => {
  const { deliver } = setup(t);
  const { url } = await listen(t, (_request, response) => {
    response.writeHead(429, { 'retry-after': '7', 'content-type': 'application/json' }).end('{"error":"slow down"}');
  });
  assert.deepEqual(await deliver(url), {
    code: 429,
    response: '{"error":"slow down"}',
    contentType: 'application/json',
    retryAfterMs: 7_000,
  });
});

test('a huge answer is cut to what may be kept, and its connection is given up', async (t) => {
  const { deliver } = setup(t);
  const chunk = Buffer.alloc(64 * 1024, 'x');
  let sentBytes = 0;
  const { url } = await listen(t, (_request, response) => {
    response.writeHead(500, { 'content-type': 'text/plain' });
    const push = (): void => {
      while (!response.destroyed && sentBytes < 1024 * 1024 * 1024) {
        sentBytes += chunk.byteLength;
        if (!response.write(chunk)) return void response.once('drain', push);
      }
    };
    push();
  });
  const outcome = await deliver(url);
  assert.equal(outcome.code, 500);
  assert.equal(outcome.response, 'x'.repeat(10 * 1024));
  assert.ok(sentBytes < 64 * 1024 * 1024, `read ${sentBytes} bytes`);
});

test('a status counts although its body never ends', async (t) => {
  const { deliver } = setup(t, shortMs);
  const { url } = await listen(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.write('so far');
  });
  assert.equal((await deliver(url)).code, 200);
});

test('a packed answer is unpacked to be read; a bomb and a broken one are not', async (t) => {
  const { deliver } = setup(t);
  const bodies: Record<string, Buffer> = {
    '/good': gzipSync('bad field: email'),
    '/bomb': gzipSync(Buffer.alloc(8 * 1024 * 1024)),
    '/broken': Buffer.from('not gzip at all'),
  };
  const { url } = await listen(t, (request, response) => {
    response
      .writeHead(400, { 'content-type': 'text/plain', 'content-encoding': 'gzip' })
      .end(bodies[request.url ?? '']);
  });
  const base = url.replace('/hook', '');
  assert.equal((await deliver(`${base}/good`)).response, 'bad field: email');
  assert.equal((await deliver(`${base}/bomb`)).response, 'redacted due to unreadable content-encoding');
  assert.equal((await deliver(`${base}/broken`)).response, 'redacted due to unreadable content-encoding');
});

test('an answer that is no text is not kept', async (t) => {
  const { deliver } = setup(t);
  const { url } = await listen(t, (_request, response) => {
    response.writeHead(400, { 'content-type': 'image/png' }).end(Buffer.alloc(100));
  });
  assert.equal((await deliver(url)).response, 'redacted due to unsupported content-type');
});

test('credentials in the address become Basic auth, unless the headers bring their own', async (t) => {
  const { deliver } = setup(t);
  const got: (string | undefined)[] = [];
  const { url } = await listen(t, (request, response) => {
    got.push(request.headers.authorization);
    response.end();
  });
  const withUser = url.replace('http://', 'http://ann:p%40ss@');
  await deliver(withUser);
  await deliver(withUser, { headers: { Authorization: 'Bearer x' } });
  assert.deepEqual(got, [`Basic ${Buffer.from('ann:p@ss').toString('base64')}`, 'Bearer x']);
});

test('redirects are not followed', async (t) => {
  const { deliver } = setup(t);
  let requests = 0;
  const { url } = await listen(t, (_request, response) => {
    requests += 1;
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  assert.equal((await deliver(url)).code, 302);
  assert.equal(requests, 1);
});

test('what can never be sent gives 400 without a request', async (t) => {
  const { deliver } = setup(t);
  let requests = 0;
  const { url } = await listen(t, (_request, response) => {
    requests += 1;
    response.end();
  });
  const bad: [string, Partial<RequestDescriptor>][] = [
    ['nonsense', {}],
    ['ftp://127.0.0.1/', {}],
    [url, { headers: { 'x-bad': 'a\r\nb' } }],
    [url, { headers: { 'bad name': 'a' } }],
    [url, { method: 'BAD METHOD' }],
  ];
  for (const [endpoint, changes] of bad)
    assert.equal((await deliver(endpoint, changes)).code, 400, JSON.stringify(changes));
  assert.equal(requests, 0);
});

test('connections are kept, are never more than allowed, and are not shared between destinations', async (t) => {
  const { deliver, client } = setup(t, patientMs, { connectionsMax: 2 });
  const connections: Socket[] = [];
  const { url, server } = await listen(t, (_request, response) => response.end());
  server.on('connection', (socket) => connections.push(socket));
  await Promise.all(Array.from({ length: 20 }, () => deliver(url)));
  assert.equal(connections.length, 2);
  await deliver(url, {}, 'dst-2');
  assert.equal(connections.length, 3);
  assert.equal(client.pools, 2);
});

test('idle pools beyond the limit are closed, the longest unused first', async (t) => {
  const { deliver, client } = setup(t, patientMs, { poolsMax: 2 });
  const { url, server } = await listen(t, (_request, response) => response.end());
  const first = once(server, 'connection') as Promise<[Socket]>;
  await deliver(url, {}, 'dst-1');
  const [socket] = await first;
  const closed = once(socket, 'close');
  await deliver(url, {}, 'dst-2');
  await deliver(url, {}, 'dst-3');
  await closed;
  assert.equal(client.pools, 2);
});

test('closing the client waits for what is in flight and refuses what comes after', async (t) => {
  const { deliver, client } = setup(t);
  let answer = (): void => {};
  const { url, server } = await listen(t, (_request, response) => {
    answer = () => response.end();
  });
  const arrived = once(server, 'request');
  const first = deliver(url);
  await arrived;
  const closed = client.close();
  assert.equal((await deliver(url)).code, 504);
  answer();
  assert.equal((await first).code, 200);
  await closed;
});

test('a private network is not reached, neither by address nor by a name that leads there', async (t) => {
  const { client, deliver } = setup(t, patientMs, { guard: createEgressGuard({ allow: [] }) });
  const requests: string[] = [];
  const { url } = await listen(t, (request, response) => {
    requests.push(request.url ?? '');
    response.end();
  });
  for (const target of [url, url.replace('127.0.0.1', 'localhost'), url.replace('127.0.0.1', '0x7f.1')]) {
    const outcome = await deliver(target);
    assert.equal(outcome.code, 504, target);
    assert.match(outcome.response, /^EGRESS_DENIED: .*127\.0\.0\.1|EGRESS_DENIED: localhost \(/);
  }
  assert.deepEqual(requests, []);
  assert.equal(client.inFlight, 0);
  const open = setup(t, patientMs, { guard: createEgressGuard({ allow: ['localhost'] }) });
  assert.equal((await open.deliver(url.replace('127.0.0.1', 'localhost'))).code, 200);
});

test('a delivery is signed with every secret, over the bytes that are sent', async (t) => {
  const client = new HttpClient();
  t.after(() => client.close());
  const delivery = createHttpDelivery(client, { timeoutMs: patientMs, nowMs: () => nowMs });
  let headers: Record<string, unknown> = {};
  let body = '';
  const { url } = await listen(t, (request, response) => {
    headers = request.headers;
    request.on('data', (chunk: Buffer) => {
      body += chunk;
    });
    request.on('end', () => response.end());
  });
  const old = Buffer.from('old secret');
  const config = { webhookSecret: [`whsec_${Buffer.from('new secret').toString('base64')}`, 'old secret', 7, ''] };
  const keys = signingKeysOf({ ...makeDestination('d1'), config });
  assert.equal((await send(delivery, url, { headers: { 'Webhook-Id': 'forged' } }, 'd1', keys)).code, 200);
  const seconds = String(nowMs / 1000);
  const expected = [Buffer.from('new secret'), old].map(
    (key) => `v1,${createHmac('sha256', key).update(`key-1.${seconds}.${body}`).digest('base64')}`,
  );
  assert.equal(headers['webhook-id'], 'key-1');
  assert.equal(headers['webhook-timestamp'], seconds);
  assert.equal(headers['webhook-signature'], expected.join(' '));
});
