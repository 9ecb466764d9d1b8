// What must not get in: each kind of bad request gets the field's status and text, leaves nothing in Postgres, and
// cannot make the program swell.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { openCluster } from '../support/embedded-cluster.ts';
import { type GatewayAnswer, type PostOptions, post, track } from '../support/gateway-client.ts';
import { oneSource, startPipeline, writeKey } from '../support/pipeline.ts';
import type { Program } from '../support/program.ts';

const requestBytesMax = 256 * 1024;
const mebibyte = 1024 * 1024;
/** What handling bombs may add: a few bodies under way, not what they unpack to. */
const growthBytesMax = 128 * mebibyte;

interface BadRequest {
  name: string;
  path: string;
  body: string | Uint8Array;
  options: PostOptions;
  status: number;
  text: string;
}

const valid = JSON.stringify(track('anna', 1));
const gzip = { 'content-encoding': 'gzip' };

const badRequests: BadRequest[] = [
  {
    name: 'broken JSON',
    path: '/v1/track',
    body: '{"userId":"anna",',
    options: { writeKey },
    status: 400,
    text: 'invalid json',
  },
  {
    name: 'JSON after JSON',
    path: '/v1/track',
    body: `${valid}{}`,
    options: { writeKey },
    status: 400,
    text: 'invalid json',
  },
  {
    name: 'an array as event',
    path: '/v1/track',
    body: '[1]',
    options: { writeKey },
    status: 400,
    text: 'event is not a valid rudder event',
  },
  {
    name: 'an empty batch',
    path: '/v1/batch',
    body: '{"batch":[]}',
    options: { writeKey },
    status: 400,
    text: 'empty batch payload',
  },
  {
    name: 'one event without identity in a batch',
    path: '/v1/batch',
    body: `{"batch":[${valid},{"type":"track","event":"x"}]}`,
    options: { writeKey },
    status: 400,
    text: 'request neither has anonymousId nor userId',
  },
  {
    name: 'no write key',
    path: '/v1/track',
    body: valid,
    options: {},
    status: 401,
    text: 'failed to read writekey from header',
  },
  {
    name: 'an unknown write key',
    path: '/v1/track',
    body: valid,
    options: { writeKey: 'wk-none' },
    status: 401,
    text: 'invalid write key',
  },
  {
    name: 'a disabled source',
    path: '/v1/track',
    body: valid,
    options: { writeKey: 'wk-off' },
    status: 404,
    text: 'source is disabled',
  },
  {
    name: 'a body over the limit',
    path: '/v1/track',
    body: JSON.stringify({ ...track('anna', 1), padding: 'x'.repeat(requestBytesMax) }),
    options: { writeKey },
    status: 413,
    text: 'request size exceeds max limit',
  },
  {
    name: 'a small body that unpacks over the limit',
    path: '/v1/track',
    body: gzipSync(JSON.stringify({ ...track('anna', 1), padding: 'x'.repeat(requestBytesMax) })),
    options: { writeKey, headers: gzip },
    status: 413,
    text: 'request size exceeds max limit',
  },
];

test('refuses bad requests with the right status and text, and stores the good event beside a bad one only', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t, {
    env: { SLUICE_GATEWAY_REQUEST_BYTES_MAX: String(requestBytesMax) },
    sources: (fake) => [...oneSource(fake), { id: 'src-off', writeKey: 'wk-off', enabled: false, destinations: [] }],
  });
  for (const { name, path, body, options, status, text } of badRequests) {
    const answer = await post(`${program.gatewayUrl}${path}`, body, options);
    // The field's servers end an error text with a line end.
    assert.deepEqual({ status: answer.status, text: answer.text }, { status, text: `${text}\n` }, name);
  }
  for (const broken of [Buffer.from('this is not gzip'), gzipSync(valid).subarray(0, 40), randomBytes(100)]) {
    const answer = await post(`${program.gatewayUrl}/v1/track`, broken, { writeKey, headers: gzip });
    const { status, text } = answer;
    assert.deepEqual({ status, text }, { status: 500, text: 'failed to read body from request\n' }, 'broken gzip');
  }
  assert.equal((await fetch(`${program.gatewayUrl}/v1/nothing-here`, { method: 'POST' })).status, 404);

  // Another message: the same one again would be dropped as a duplicate.
  const good = await post(`${program.gatewayUrl}/v1/track`, track('anna', 2), { writeKey });
  assert.deepEqual({ status: good.status, text: good.text }, { status: 200, text: 'ok' });
  await destination.waitForAccepted(2);
  assert.equal(await storedEvents(t, program), 2, 'only the good event and the good one of the batch are stored');
});

test('a flood of zip bombs is refused without growing', { timeout: 180_000 }, async (t) => {
  const { program } = await startPipeline(t);
  const bomb = gzipSync(Buffer.alloc(200 * mebibyte, 0x20));
  const flood = async (): Promise<GatewayAnswer[]> =>
    Promise.all(
      Array.from({ length: 16 }, () => post(`${program.gatewayUrl}/v1/batch`, bomb, { writeKey, headers: gzip })),
    );
  // The first flood warms up buffers and code, so that what is measured is growth by bombs.
  await flood();
  const before = residentBytes(program);
  let peak = before;
  for (let round = 0; round < 5; round += 1) {
    for (const answer of await flood()) {
      assert.ok(answer.status === 413 || answer.status === 400, `expected a refusal, got ${answer.status}`);
    }
    peak = Math.max(peak, residentBytes(program));
  }
  assert.ok(peak - before < growthBytesMax, `expected bounded memory, grew by ${(peak - before) / mebibyte} MiB`);
  assert.equal(await storedEvents(t, program), 0);
  assert.equal((await post(`${program.gatewayUrl}/v1/track`, valid, { writeKey })).status, 200);
});

test('a body that claims to be endless is cut off while it is read', { timeout: 120_000 }, async (t) => {
  const { program } = await startPipeline(t, {
    env: { SLUICE_GATEWAY_REQUEST_BYTES_MAX: String(requestBytesMax) },
  });
  const answer = await sendEndlessBody(program);
  assert.match(answer, /^(?:HTTP\/1\.1 413 |$)/, 'refused, or cut off without a word');
  assert.equal(await storedEvents(t, program), 0);
  assert.equal((await post(`${program.gatewayUrl}/v1/track`, valid, { writeKey })).status, 200);
});

/** Writes a chunked body until the program has enough of it; answers what the program said. */
async function sendEndlessBody(program: Program): Promise<string> {
  const socket = connect(program.options.gatewayPort, '127.0.0.1');
  const credentials = Buffer.from(`${writeKey}:`).toString('base64');
  socket.write(
    `POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${credentials}\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  const chunk = Buffer.from(`10000\r\n${'x'.repeat(0x10000)}\r\n`);
  let answer = '';
  let sent = 0;
  return new Promise((resolve, reject) => {
    const more = (): void => {
      while (sent < 64 * mebibyte && socket.writable) {
        sent += chunk.byteLength;
        if (!socket.write(chunk)) return;
      }
      if (sent >= 64 * mebibyte) reject(new Error('expected the program to stop reading, it took 64 MiB'));
    };
    socket.on('drain', more);
    socket.on('data', (data) => {
      answer += data.toString('latin1');
      socket.destroy();
    });
    // A reset while we still write is a refusal as well.
    socket.on('error', () => resolve(answer));
    socket.on('close', () => resolve(answer));
    socket.on('connect', more);
  });
}

async function storedEvents(t: Parameters<typeof openCluster>[0], program: Program): Promise<number> {
  const postgres = openCluster(t, program.dataDir);
  // A queue that was never used has no table.
  const { rows: tables } = await postgres.query("SELECT 1 FROM pg_tables WHERE tablename = 'gw_jobs_1'");
  if (tables.length === 0) return 0;
  const { rows } = await postgres.query<{ count: number }>('SELECT count(*)::int AS count FROM gw_jobs_1');
  return rows[0]?.count ?? -1;
}

function residentBytes(program: Program): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${program.pid}/status`, 'utf8'));
  return Number(match?.[1] ?? Number.NaN) * 1024;
}
