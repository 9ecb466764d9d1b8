// The load generator against a server that closes connections, as servers do with those nobody used for a while: it must
// go on over new ones, come to its end, and tell what it does not know.

import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { runLoad } from '../../bench/bench-process.ts';

const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Answers every request by `onRequest`; returns its port. */
async function serve(t: TestContext, onRequest: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('data', () => onRequest(socket));
    socket.on('error', () => undefined);
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function loadOf(port: number) {
  return {
    host: '127.0.0.1',
    port,
    writeKeys: ['wk'],
    requests: [{ path: '/v1/track', eventsPerRequest: 1, weight: 1 }],
    eventBytes: 512,
    connections: 4,
    warmUpSeconds: 0,
    seconds: 0.5,
    ratePerSecond: 200,
    dropsLate: false,
    requestsMax: 0,
  };
}

test('a connection that the server closes after its answer is replaced', async (t) => {
  const port = await serve(t, (socket) => socket.end(answer));
  const result = await runLoad(t, loadOf(port));
  assert.ok(result.requests > 4, `expected more requests than connections, got ${result.requests}`);
  // A request may be on its way already when the connection closes behind the answer before it.
  assert.deepEqual(Object.keys({ closed: 0, ...result.refused }), ['closed']);
});

test('a request whose connection is closed without an answer is told', async (t) => {
  const port = await serve(t, (socket) => socket.end());
  const result = await runLoad(t, loadOf(port));
  assert.equal(result.requests, 0);
  assert.ok((result.refused.closed ?? 0) > 4, `expected closed requests, got ${JSON.stringify(result.refused)}`);
});
