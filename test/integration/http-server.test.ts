// One suite, run against both HTTP engines: whatever the gateway relies on must hold for each of them.

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import {
  type HttpEngine,
  type HttpListenOptions,
  type HttpRequest,
  listenHttp,
  type Respond,
} from '../../transport/index.ts';
import { httpEngines } from '../support/http-engines.ts';
import { RawClient } from '../support/raw-http.ts';
import { until } from '../support/until.ts';

type Handler = (request: HttpRequest, respond: Respond) => void;

const headerNames = ['content-type', 'x-first', 'x-absent'];

async function setup(
  t: TestContext,
  engine: 'auto' | HttpEngine,
  handler: Handler,
  limits: Partial<HttpListenOptions> = {},
) {
  const errors: unknown[] = [];
  const server = await listenHttp({
    host: '127.0.0.1',
    port: 0,
    engine,
    headerNames,
    bodyBytesMax: 1_000_000,
    bodyBytesInFlightMax: 10_000_000,
    requestsInFlightMax: 1_000,
    handler,
    onHandlerError: (error) => errors.push(error),
    ...limits,
  });
  t.after(() => server.close());
  const connect = async () => {
    const client = await RawClient.connect(server.port);
    t.after(() => client.destroy());
    return client;
  };
  return { server, connect, errors };
}

/** Holds requests until they are answered by the test. */
function holdingHandler() {
  const held: { request: HttpRequest; body: string; respond: Respond }[] = [];
  let wake = () => {};
  const handler: Handler = (request, respond) => {
    // The body is only lent until the handler returns.
    held.push({ request, body: request.body.toString(), respond });
    wake();
  };
  const taken = async (count: number) => {
    while (held.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return held;
  };
  return { handler, taken };
}

const echo: Handler = (request, respond) => {
  const { method, path, query, bodyTooLarge } = request;
  const head = `${method} ${path} ${query} ${bodyTooLarge ? 'too large' : request.body.byteLength}`;
  respond(200, { 'X-Engine': 'any' }, `${head} ${request.body.subarray(0, 20).toString()}`);
};

const post = (path: string, body: string, headers = '') =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;

async function ask(client: RawClient, request: string) {
  await client.send(request);
  return await client.response();
}

for (const engine of httpEngines) {
  describe(`the ${engine} engine, exchanging`, () => {
    test('serves one request after the other on a connection', async (t) => {
      const { connect, server } = await setup(t, engine, echo);
      const client = await connect();
      assert.equal((await ask(client, post('/a?x=1&y=%20', 'hello')))?.body, 'POST /a x=1&y=%20 5 hello');
      assert.equal((await ask(client, get('/b')))?.body, 'GET /b  0 ');
      assert.equal((await ask(client, post('/c', '')))?.body, 'POST /c  0 ');
      assert.equal(server.inFlight, 0);
      assert.equal(server.engine, engine);
    });

    test('answers pipelined requests in order when answers are immediate', async (t) => {
      const { connect } = await setup(t, engine, echo);
      const client = await connect();
      await client.send(post('/1', 'a') + post('/2', 'bb') + get('/3'));
      assert.equal((await client.response())?.body, 'POST /1  1 a');
      assert.equal((await client.response())?.body, 'POST /2  2 bb');
      assert.equal((await client.response())?.body, 'GET /3  0 ');
    });

    test('never answers a pipelined request with the answer of another', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect } = await setup(t, engine, handler);
      const client = await connect();
      await client.send(post('/1', 'a') + post('/2', 'b'));
      // uWebSockets.js cuts a connection that asks again before it was answered; node:http keeps both in order.
      if (engine === 'uws') await client.closed();
      const held = await taken(engine === 'uws' ? 1 : 2);
      for (const { request, respond } of held.toReversed()) respond(200, {}, request.path);
      const answers = [(await client.response())?.body, (await client.response())?.body];
      assert.deepEqual(answers, engine === 'node' ? ['/1', '/2'] : [undefined, undefined]);
    });

    test('reads a chunked body', async (t) => {
      const { connect } = await setup(t, engine, echo);
      const client = await connect();
      await client.send('POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
      await client.send('2\r\nde\r\n0\r\n\r\n');
      assert.equal((await client.response())?.body, 'POST /c  5 abcde');
    });

    test('hands over a body that came in many pieces as one', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect } = await setup(t, engine, handler);
      const client = await connect();
      const body = Buffer.alloc(900_000, 'abcdefghij');
      await client.send(`POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.byteLength}\r\n\r\n`);
      for (let at = 0; at < body.byteLength; at += 100_000) await client.send(body.subarray(at, at + 100_000));
      const [held] = await taken(1);
      assert.ok(held?.request.body.equals(body));
      held?.respond(200, {}, '');
      assert.equal((await client.response())?.status, 200);
    });

    test('answers HEAD without a body but with its length, and goes on', async (t) => {
      const { connect } = await setup(t, engine, (request, respond) => respond(200, {}, request.method));
      const client = await connect();
      await client.send('HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n');
      const response = await client.response({ bodyless: true });
      assert.equal(response?.headers['content-length'], '4');
      assert.equal((await ask(client, get('/next')))?.body, 'GET');
    });

    test('answers OPTIONS with 204 and goes on', async (t) => {
      const { connect } = await setup(t, engine, (request, respond) => {
        respond(request.method === 'OPTIONS' ? 204 : 200, { 'Access-Control-Max-Age': '900' }, '');
      });
      const client = await connect();
      const response = await ask(client, 'OPTIONS /o HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal(response?.status, 204);
      assert.equal(response.headers['access-control-max-age'], '900');
      assert.equal((await ask(client, get('/next')))?.status, 200);
    });

    test('finds headers by lower-case name however they were written, also after the body', async (t) => {
      const { connect } = await setup(t, engine, (request, respond) => {
        respond(
          200,
          {},
          `${request.header('x-first')}|${request.header('content-type')}|${request.header('x-absent')}`,
        );
      });
      const client = await connect();
      const response = await ask(client, post('/', 'body', 'X-FIRST: Some Value\r\ncontent-TYPE: text/plain\r\n'));
      assert.equal(response?.body, 'Some Value|text/plain|');
    });

    test('tells the address of the peer', async (t) => {
      const { connect } = await setup(t, engine, (request, respond) => respond(200, {}, request.remoteAddress));
      assert.equal((await ask(await connect(), get('/')))?.body, '127.0.0.1');
    });

    test('serves many connections at once', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect, server } = await setup(t, engine, handler);
      const clients = await Promise.all(Array.from({ length: 200 }, connect));
      await Promise.all(clients.map((client, index) => client.send(post(`/${index}`, `body ${index}`))));
      const held = await taken(200);
      assert.equal(server.inFlight, 200);
      for (const { request, body, respond } of held) respond(200, {}, `${request.path} ${body}`);
      const responses = await Promise.all(clients.map((client) => client.response()));
      responses.forEach((response, index) => {
        assert.equal(response?.body, `/${index} body ${index}`);
      });
      assert.equal(server.inFlight, 0);
    });

    test('answers 500 and reports the error when the handler throws', async (t) => {
      const { connect, errors, server } = await setup(t, engine, () => {
        throw new Error('a fault of ours');
      });
      const client = await connect();
      const response = await ask(client, post('/', 'x'));
      assert.equal(response?.status, 500);
      assert.equal(response.body, 'Internal Server Error\n');
      assert.match(String(errors[0]), /a fault of ours/);
      assert.equal(server.inFlight, 0);
    });
  });

  describe(`the ${engine} engine, limiting`, () => {
    test('refuses an announced body that is too large before it is sent', async (t) => {
      const { connect } = await setup(t, engine, echo);
      const client = await connect();
      await client.send('POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n');
      assert.equal((await client.response())?.body, 'POST /big  too large ');
    });

    test('refuses a body that grows too large while it is read, and discards the rest', async (t) => {
      const { connect, server } = await setup(t, engine, echo);
      const client = await connect();
      await client.send('POST /big HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
      const piece = `${(100_000).toString(16)}\r\n${'x'.repeat(100_000)}\r\n`;
      for (let sent = 0; sent <= 1_000_000; sent += 100_000) await client.send(piece);
      assert.equal((await client.response())?.body, 'POST /big  too large ');
      assert.equal(server.inFlight, 0);
      for (let more = 0; more < 50; more += 1) await client.send(piece);
      await client.send('0\r\n\r\n');
      assert.equal((await ask(client, post('/next', 'ok')))?.body, 'POST /next  2 ok');
    });

    test('lets a client that sends all of a too large body first still read its answer', async (t) => {
      const { connect } = await setup(t, engine, echo);
      const client = await connect();
      await client.send(post('/big', 'x'.repeat(5_000_000)));
      assert.equal((await client.response())?.body, 'POST /big  too large ');
      assert.equal((await ask(client, get('/next')))?.body, 'GET /next  0 ');
    });

    test('accepts a body of exactly the limit', async (t) => {
      const { connect } = await setup(t, engine, echo);
      const client = await connect();
      assert.match((await ask(client, post('/', 'x'.repeat(1_000_000))))?.body ?? '', /^POST \/ {2}1000000 /);
    });

    test('answers 503 to requests beyond those in flight', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect } = await setup(t, engine, handler, { requestsInFlightMax: 1 });
      const [first, second] = [await connect(), await connect()];
      await first.send(post('/1', 'a'));
      const [held] = await taken(1);
      const refused = await ask(second, post('/2', 'b'));
      assert.equal(refused?.status, 503);
      assert.equal(refused.body, 'Service Unavailable\n');
      assert.equal(refused.headers['x-content-type-options'], 'nosniff');
      held?.respond(200, {}, 'one');
      assert.equal((await first.response())?.body, 'one');
      await second.send(get('/3'));
      (await taken(2))[1]?.respond(200, {}, 'three');
      assert.equal((await second.response())?.body, 'three');
    });

    test('answers 503 when the bodies in flight would take more memory than allowed', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect } = await setup(t, engine, handler, { bodyBytesInFlightMax: 1_000 });
      const [first, second] = [await connect(), await connect()];
      await first.send(post('/1', 'x'.repeat(800)));
      const [held] = await taken(1);
      assert.equal((await ask(second, post('/2', 'y'.repeat(300))))?.status, 503);
      held?.respond(200, {}, 'one');
      assert.equal((await first.response())?.body, 'one');
      await second.send(post('/3', 'y'.repeat(1_000)));
      (await taken(2))[1]?.respond(200, {}, 'three');
      assert.equal((await second.response())?.body, 'three');
    });
  });

  describe(`the ${engine} engine, losing clients and draining`, () => {
    test('forgets a request whose client leaves while sending', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect, server } = await setup(t, engine, handler);
      const client = await connect();
      await client.send('POST /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
      await until(() => server.inFlight === 1);
      client.destroy();
      await server.idle();
      const next = await connect();
      await next.send(get('/next'));
      assert.deepEqual(
        (await taken(1)).map(({ request }) => request.path),
        ['/next'],
      );
    });

    test('takes an answer for a client that has left', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect, server } = await setup(t, engine, handler);
      const client = await connect();
      await client.send(post('/gone', 'abc'));
      const [held] = await taken(1);
      client.destroy();
      const next = await connect();
      await next.send(get('/next'));
      (await taken(2))[1]?.respond(200, {}, '');
      assert.equal((await next.response())?.status, 200);
      assert.equal(server.inFlight, 1);
      held?.respond(200, {}, 'too late');
      assert.equal(server.inFlight, 0);
      assert.throws(() => held?.respond(200, {}, 'twice'));
    });

    test('finishes what is in flight and refuses what comes new while draining', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect, server } = await setup(t, engine, handler);
      const [slow, held, fresh] = [await connect(), await connect(), await connect()];
      await slow.send('POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab');
      await held.send(post('/held', 'abc'));
      await taken(1);
      await until(() => server.inFlight === 2);
      server.refuse();
      let isIdle = false;
      const idle = server.idle().then(() => {
        isIdle = true;
      });
      const refused = await ask(fresh, post('/new', 'abc'));
      assert.equal(refused?.status, 503);
      assert.equal(refused.headers.connection?.toLowerCase(), 'close');
      await fresh.closed();
      await slow.send('cd');
      const requests = await taken(2);
      assert.equal(isIdle, false);
      for (const { request, respond } of requests) respond(200, {}, request.path);
      await idle;
      assert.equal((await held.response())?.body, '/held');
      assert.equal((await slow.response())?.body, '/slow');
    });

    test('cuts every connection when closed, and frees the port', async (t) => {
      const { handler, taken } = holdingHandler();
      const { connect, server } = await setup(t, engine, handler);
      const client = await connect();
      await client.send(post('/held', 'abc'));
      const [held] = await taken(1);
      await server.close();
      await client.closed();
      held?.respond(200, {}, 'too late');
      await assert.rejects(RawClient.connect(server.port), { code: 'ECONNREFUSED' });
    });

    test('names the address when the port is in use', async (t) => {
      const { server } = await setup(t, engine, echo);
      const { port } = server;
      const second = setup(t, engine, echo, { port });
      await assert.rejects(second, { code: 'PORT_IN_USE', message: new RegExp(`127\\.0\\.0\\.1:${port}`) });
    });

    test('says so when the address is not ours', async (t) => {
      await assert.rejects(setup(t, engine, echo, { host: '192.0.2.1' }), { code: 'LISTEN_FAILED' });
    });
  });
}

test('takes the fast engine where it loads, and says why where it does not', async (t) => {
  const { server } = await setup(t, 'auto', echo);
  assert.equal(server.engine, httpEngines[0]);
  assert.equal(server.fallbackReason === '', server.engine === 'uws');
  // On the release the program is built for there is no excuse.
  const isReference = process.platform === 'linux' && process.arch === 'x64' && process.version.startsWith('v20.');
  if (isReference) assert.equal(server.engine, 'uws');
});
