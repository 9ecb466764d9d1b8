// Connections as a receiver wants them: its own authority and our certificate, HTTP/2, several requests on the way at
// once, and all of it through a proxy. Real servers.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import {
  type ConnectionOptions,
  createEgressGuard,
  HttpClient,
  type HttpClientOptions,
  type OutboundOutcome,
} from '../../transport/index.ts';
import { testCertificate, testKey } from '../support/test-certificate.ts';

const deadlineMs = 20_000;

function setup(t: TestContext, options: Partial<HttpClientOptions> = {}) {
  const client = new HttpClient(options);
  t.after(() => client.close());
  return (origin: string, connection?: ConnectionOptions): Promise<OutboundOutcome> =>
    new Promise((resolve) => {
      client.send(
        {
          poolKey: 'd1',
          origin,
          path: '/hook',
          method: 'POST',
          headers: [],
          body: Buffer.from('{}'),
          timeoutMs: deadlineMs,
          ...(connection === undefined ? {} : { connection }),
        },
        resolve,
      );
    });
}

async function listen(t: TestContext, server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function textOf(outcome: OutboundOutcome): string {
  return outcome.ok ? `${outcome.response.status} ${outcome.response.body}` : outcome.error.code;
}

test('a receiver has an authority of its own and asks who we are', async (t) => {
  const server = createTlsServer(
    { cert: testCertificate, key: testKey, ca: testCertificate, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const { authorized } = request.socket as TLSSocket;
      response.end(authorized ? 'known' : 'unknown');
    },
  );
  const origin = `https://${await listen(t, server)}`;
  const send = setup(t);
  assert.match(textOf(await send(origin)), /^HTTP_CONNECTION_LOST/, 'nobody vouches for it');
  const tls = { ca: testCertificate };
  assert.equal(textOf(await send(origin, { tls })), '200 unknown');
  const own = { tls: { ...tls, cert: testCertificate, key: testKey } };
  assert.equal(textOf(await send(origin, own)), '200 known', 'new options mean new connections');
});

test('a certificate that is none is told, and nothing is sent', async (t) => {
  const server = createTlsServer({ cert: testCertificate, key: testKey }, (_request, response) => response.end());
  const origin = `https://${await listen(t, server)}`;
  const outcome = await setup(t)(origin, { tls: { ca: testCertificate, cert: 'no PEM', key: 'no PEM' } });
  assert.equal(outcome.ok, false);
});

test('HTTP/2 is spoken where it is allowed and offered', async (t) => {
  const server = createSecureServer({ cert: testCertificate, key: testKey, allowHTTP1: true }, (request, response) => {
    response.end(request.httpVersion);
  });
  const origin = `https://${await listen(t, server)}`;
  const send = setup(t);
  const tls = { ca: testCertificate };
  assert.equal(textOf(await send(origin, { tls })), '200 1.1');
  assert.equal(textOf(await send(origin, { tls, allowHttp2: true })), '200 2.0');
});

test('several requests are on their way on one connection', async (t) => {
  const held: Socket[] = [];
  let text = '';
  const server = createTcpServer((socket) => {
    held.push(socket);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const requests = text.split('POST /hook').length - 1;
      if (requests < 3) return;
      text = '';
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'.repeat(requests));
    });
  });
  const origin = `http://${await listen(t, server)}`;
  const send = setup(t);
  const connection = { connectionsMax: 1, pipelining: 3 };
  const outcomes = await Promise.all([send(origin, connection), send(origin, connection), send(origin, connection)]);
  assert.deepEqual(outcomes.map(textOf), ['200 ok', '200 ok', '200 ok']);
  assert.equal(held.length, 1);
});

test('with a proxy everything goes through it, and closed addresses are still not asked for', async (t) => {
  const asked: string[] = [];
  const destination = createServer((_request: IncomingMessage, response: ServerResponse) => response.end('arrived'));
  const origin = await listen(t, destination);
  const proxy = createServer();
  proxy.on('connect', (request, socket: Socket) => {
    asked.push(request.url ?? '');
    const [, port] = origin.split(':');
    // The proxy resolves names: this one leads to the destination, whoever that is.
    const upstream = connect(Number(port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  const guard = createEgressGuard({ allow: [] });
  const send = setup(t, { guard, proxy: `http://${await listen(t, proxy)}` });
  assert.equal(textOf(await send('http://destination.example:80')), '200 arrived');
  assert.deepEqual(asked, ['destination.example:80']);
  assert.equal(textOf(await send(`http://${origin}`)), 'EGRESS_DENIED');
  assert.equal(asked.length, 1);
});
