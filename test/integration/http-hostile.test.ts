// Requests that mean one thing to us and might mean another to a proxy before us, on both HTTP engines. Whoever can make
// the two disagree about where a request ends can put requests into the connections of others: such a request reaches no
// handler, and its connection ends with it.

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { type HttpEngine, type HttpRequest, listenHttp } from '../../transport/index.ts';
import { httpEngines } from '../support/http-engines.ts';
import { RawClient } from '../support/raw-http.ts';

async function setup(t: TestContext, engine: HttpEngine) {
  const seen: string[] = [];
  const server = await listenHttp({
    host: '127.0.0.1',
    port: 0,
    engine,
    headerNames: ['content-length', 'x-first', 'x-last'],
    keepsAllHeaders: (path) => path === '/all',
    bodyBytesMax: 100_000,
    bodyBytesInFlightMax: 1_000_000,
    requestsInFlightMax: 100,
    handler: (request, respond) => {
      seen.push(`${request.method} ${request.path} ${request.body.toString()}`);
      respond(200, {}, request.path === '/all' ? allHeadersText(request) : request.header('x-last'));
    },
    onHandlerError: assert.fail,
  });
  t.after(() => server.close());
  const connect = async () => {
    const client = await RawClient.connect(server.port);
    t.after(() => client.destroy());
    return client;
  };
  return { server, seen, connect };
}

function allHeadersText({ allHeaders }: HttpRequest): string {
  return JSON.stringify(Object.fromEntries(allHeaders));
}

const head = 'POST /a HTTP/1.1\r\nHost: a\r\n';
const chunked = '5\r\nhello\r\n0\r\n\r\n';
const next = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

const ambiguous: Readonly<Record<string, string>> = {
  'two lengths that differ': `${head}Content-Length: 5\r\nContent-Length: ${5 + next.length}\r\n\r\nhello${next}`,
  'two lengths the other way round': `${head}Content-Length: ${5 + next.length}\r\nContent-Length: 5\r\n\r\nhello${next}`,
  'the same length twice': `${head}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
  'a list of lengths': `${head}Content-Length: 5, 5\r\n\r\nhello`,
  'a length with a sign': `${head}Content-Length: +5\r\n\r\nhello`,
  'a negative length': `${head}Content-Length: -5\r\n\r\nhello`,
  'a length in hexadecimal': `${head}Content-Length: 0x5\r\n\r\nhello`,
  'a length beyond all numbers': `${head}Content-Length: 99999999999999999999999\r\n\r\nhello`,
  'a length and chunks': `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
  'an encoding that only ends like chunks': `${head}Transfer-Encoding: xchunked\r\n\r\n${chunked}`,
  'chunks that are not the last encoding': `${head}Transfer-Encoding: chunked, identity\r\n\r\n${chunked}`,
  'two encodings': `${head}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${chunked}`,
  'a chunk of negative size': `${head}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n`,
  'a chunk beyond all numbers': `${head}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n`,
};

for (const engine of httpEngines) {
  describe(`the listener on ${engine}`, () => {
    for (const [name, bytes] of Object.entries(ambiguous)) {
      test(`refuses ${name}, and everything behind it`, async (t) => {
        const { server, seen, connect } = await setup(t, engine);
        const client = await connect();
        await client.send(bytes);
        const response = await client.response();
        if (response !== undefined) assert.equal(response.status, 400);
        await client.closed();
        assert.equal(await client.response(), undefined);
        assert.deepEqual([seen, server.inFlight], [[], 0]);
      });
    }

    test('takes what a body holds for a body, also of a GET', async (t) => {
      const { seen, connect } = await setup(t, engine);
      const client = await connect();
      await client.send(`GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: ${next.length}\r\n\r\n${next}`);
      assert.equal((await client.response())?.status, 200);
      await client.send('GET /b HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal((await client.response())?.status, 200);
      assert.equal(seen.length, 2);
      assert.equal(seen[1], 'GET /b ');
    });

    test('asks for a body whose sender waits to be asked', async (t) => {
      const { seen, connect } = await setup(t, engine);
      const client = await connect();
      await client.send(`${head}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
      assert.equal((await client.response())?.status, 100);
      await client.send('hello');
      assert.equal((await client.response())?.status, 200);
      assert.deepEqual(seen, ['POST /a hello']);
    });

    test('sees the last of many headers or refuses them all, but never leaves any out', async (t) => {
      const { seen, connect } = await setup(t, engine);
      const client = await connect();
      const many = Array.from({ length: 2_500 }, (_, index) => `X${index}: a\r\n`).join('');
      await client.send(`${head}${many}X-Last: here\r\nContent-Length: 5\r\n\r\nhello`);
      const response = await client.response();
      if (response?.status === 431) assert.deepEqual(seen, []);
      else assert.deepEqual([response?.status, response?.body, seen], [200, 'here', ['POST /a hello']]);
    });

    test('ends a flood of headers', async (t) => {
      const { seen, connect } = await setup(t, engine);
      const client = await connect();
      await client.send(`${head}Cookie: ${'a'.repeat(600_000)}\r\n\r\n`);
      assert.equal((await client.response())?.status, 431);
      await client.closed();
      assert.deepEqual(seen, []);
    });

    test('gives every header to whom it is told to, and the others what they named', async (t) => {
      const { connect } = await setup(t, engine);
      const client = await connect();
      await client.send('GET /all HTTP/1.1\r\nHost: a\r\nX-Hmac: abc\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n');
      const body = (await client.response())?.body ?? '';
      assert.deepEqual(JSON.parse(body), { host: 'a', 'x-hmac': 'abc', 'x-twice': '1, 2' });
    });

    test('forgets a client that leaves in the middle of its body', async (t) => {
      const { server, seen, connect } = await setup(t, engine);
      const client = await connect();
      await client.send(`${head}Content-Length: 50000\r\n\r\n${'a'.repeat(10_000)}`);
      client.destroy();
      const other = await connect();
      await other.send(`${head}Content-Length: 5\r\n\r\nhello`);
      assert.equal((await other.response())?.status, 200);
      await server.idle();
      assert.deepEqual(seen, ['POST /a hello']);
    });
  });
}
