// What hostile and unusual connections meet, on both HTTP engines: clients that send slowly or not at all, TLS, and a
// proxy that tells whom it speaks for.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as requestTls } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type HttpListenOptions, listenHttp } from '../../transport/index.ts';
import { httpEngines } from '../support/http-engines.ts';
import { RawClient } from '../support/raw-http.ts';
import { testCertificate, testKey } from '../support/test-certificate.ts';
import { until } from '../support/until.ts';

async function setup(t: TestContext, options: Partial<HttpListenOptions>) {
  const server = await listenHttp({
    host: '127.0.0.1',
    port: 0,
    engine: 'node',
    headerNames: [],
    bodyBytesMax: 1_000_000,
    bodyBytesInFlightMax: 10_000_000,
    requestsInFlightMax: 100,
    handler: (request, respond) => respond(200, {}, `${request.remoteAddress} ${request.body.byteLength}`),
    onHandlerError: assert.fail,
    ...options,
  });
  t.after(() => server.close());
  const connect = async () => {
    const client = await RawClient.connect(server.port);
    t.after(() => client.destroy());
    return client;
  };
  return { server, connect };
}

/** Sends a byte whenever the last one has left, until the server closes the connection. */
async function drip(client: RawClient): Promise<void> {
  let isOpen = true;
  const closed = client.closed().then(() => {
    isOpen = false;
  });
  while (isOpen) {
    await client.send('a');
    await Promise.race([closed, new Promise((resolve) => setImmediate(resolve))]);
  }
}

for (const engine of httpEngines) {
  describe(`the listener on ${engine}`, () => {
    test('answers 408 to a body that does not come in time, and closes the connection', async (t) => {
      const { server, connect } = await setup(t, { engine, bodyTimeoutMs: 100 });
      const silent = await connect();
      await silent.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
      const response = await silent.response();
      assert.deepEqual([response?.status, response?.body], [408, 'request timeout\n']);
      await silent.closed();
      await until(() => server.inFlight === 0);
    });

    test('ends a body that comes byte by byte, and serves others meanwhile', async (t) => {
      const { server, connect } = await setup(t, { engine, bodyTimeoutMs: 100 });
      const slow = await connect();
      await slow.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n');
      const other = await connect();
      await other.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok');
      assert.equal((await other.response())?.body, '127.0.0.1 2');
      await drip(slow);
      await until(() => server.inFlight === 0);
    });

    test('closes a connection whose headers never end', { timeout: 60_000 }, async (t) => {
      const { server, connect } = await setup(t, { engine, headersTimeoutMs: 200 });
      const slow = await connect();
      await slow.send('POST / HTTP/1.1\r\nHost: a\r\nX-A: ');
      await slow.closed();
      assert.equal(server.inFlight, 0);
    });

    test('speaks TLS with the files it is given, and names them when they are none', async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'));
      t.after(() => rmSync(folder, { recursive: true }));
      const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
      writeFileSync(certFile, testCertificate);
      writeFileSync(keyFile, testKey);
      const { server } = await setup(t, { engine, tls: { certFile, keyFile } });
      const status = await new Promise((resolve, reject) => {
        const request = requestTls({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, agent: false });
        request.on('response', (response) => resolve(response.resume().statusCode));
        request.on('error', reject);
        request.end();
      });
      assert.equal(status, 200);
      const bad = setup(t, { engine, tls: { certFile: keyFile, keyFile } });
      await assert.rejects(bad, { code: 'TLS_UNUSABLE', message: /key\.pem/ });
    });
  });
}

/** Version 2, TCP over IPv4, from 1.2.3.4:1000 to 5.6.7.8:80. */
const proxyHeader = Buffer.from('0d0a0d0a000d0a515549540a2111000c010203040506070803e80050', 'hex');
const get = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');

if (httpEngines.includes('uws')) {
  test('believes the PROXY protocol only when it is told to', async (t) => {
    for (const [proxyProtocol, expected] of [
      [true, '1.2.3.4 0'],
      [false, '127.0.0.1 0'],
    ] as const) {
      const { connect } = await setup(t, { engine: 'uws', proxyProtocol });
      const client = await connect();
      await client.send(Buffer.concat([proxyHeader, get]));
      assert.equal((await client.response())?.body, expected);
    }
  });
}

test('node:http says that it does not know the PROXY protocol', async (t) => {
  await assert.rejects(setup(t, { engine: 'node', proxyProtocol: true }), { code: 'HTTP_ENGINE_UNAVAILABLE' });
});
