// The life of the program as its operator sees it: the first start explains itself, SIGTERM drains and takes PostgreSQL
// along, the next start finishes what was left, and a killed program's PostgreSQL is adopted.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/cleanup.ts';
import { isRunning, postmasterPid } from '../support/embedded-cluster.ts';
import { eventOf } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { asSent, send, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { type Program, startProgram } from '../support/program.ts';
import { property } from '../support/status.ts';

/** The printed curl line as a request: what a newcomer pastes must work as it stands. */
async function runCurlLine(program: Program): Promise<{ status: number; text: string }> {
  const [, line = ''] = await program.waitForOutput(/^.*?(curl [^\n]*(?:\\\n[^\n]*)*)/m);
  const text = line.replaceAll('\\\n', ' ');
  const url = /https?:\/\/[^\s'"]+/.exec(text)?.[0];
  const user = /(?:-u|--user)\s+['"]?([^\s'":]+):/.exec(text)?.[1];
  const body = /(?:-d|--data(?:-raw)?|--json)\s+'([^']*)'/.exec(text)?.[1];
  assert.ok(
    url !== undefined && user !== undefined && body !== undefined,
    `expected a complete curl line, got ${text}`,
  );
  return post(url, body, { writeKey: user });
}

test('a first start explains itself, and its curl line shows a delivered event', { timeout: 120_000 }, async (t) => {
  const startedAtMs = Date.now();
  const program = await (await startProgram(t)).waitReady();
  assert.ok(Date.now() - startedAtMs < 20_000, 'starts within seconds, also on a busy machine');
  const banner = program.output;
  assert.ok(banner.includes(program.dataDir), 'says where the data lives');
  assert.ok(banner.includes(String(program.options.adminPort)), 'says where the status page is');
  const { status, text } = await runCurlLine(program);
  assert.deepEqual({ status, text }, { status: 200, text: 'ok' });
  await program.waitForOutput(/^\d\d:\d\d:\d\d\.\d{3} .*"Hello Sluice".* user you/m);
  const postgresPid = postmasterPid(program.dataDir);
  assert.ok(postgresPid !== undefined && isRunning(postgresPid));
  assert.deepEqual(await program.stop(), { code: 0, signal: null });
  assert.equal(isRunning(postgresPid), false, 'PostgreSQL never outlives a clean stop');
});

test('works in a folder whose parents are private', { timeout: 120_000 }, async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, 'home');
  mkdirSync(home, { mode: 0o700 });
  chmodSync(home, 0o700);
  const program = await (await startProgram(t, { dataDir: join(home, 'project', 'sluice-data') })).waitReady();
  assert.equal((await runCurlLine(program)).status, 200);
  assert.deepEqual(await program.stop(), { code: 0, signal: null });
});

test('a second start delivers what the first one left', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  destination.respond(() => 503);
  const events = Array.from({ length: 20 }, (_, sequence) => track('anna', sequence));
  for (const event of events) await send(program, event);
  await destination.waitFor('a delivery to be tried', () => destination.deliveries.length > 0);
  assert.deepEqual(await program.stop(), { code: 0, signal: null }, 'retries do not hold up a drain');
  assert.equal(postmasterPid(program.dataDir), undefined);
  assert.equal(destination.accepted().length, 0);

  destination.respond(() => 200);
  const again = await program.again().waitReady();
  await destination.waitForAccepted(events.length);
  const delivered = destination.accepted().map(eventOf);
  assert.deepEqual(
    delivered.map(({ sequence }) => sequence),
    events.map((event) => asSent(event).sequence),
  );
  assert.deepEqual(await again.stop(), { code: 0, signal: null });
});

test('SIGTERM answers what was accepted and delivers nothing twice', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  const events = Array.from({ length: 200 }, (_, sequence) =>
    track(`user-${sequence % 20}`, Math.floor(sequence / 20)),
  );
  const answers = events.map((event) =>
    send(program, event).then(
      () => true,
      () => false,
    ),
  );
  await destination.waitForAccepted(1);
  const exit = program.stop();
  const acknowledged = (await Promise.all(answers)).filter(Boolean).length;
  assert.deepEqual(await exit, { code: 0, signal: null });
  const again = await program.again().waitReady();
  await destination.waitForAccepted(acknowledged);
  const keys = destination.accepted().map(({ idempotencyKey }) => idempotencyKey);
  assert.equal(new Set(keys).size, keys.length, 'a clean stop repeats no delivery');
  await again.stop();
});

test('a start after SIGKILL adopts the PostgreSQL that still runs', { timeout: 120_000 }, async (t) => {
  const first = await (await startProgram(t)).waitReady();
  const postgresPid = postmasterPid(first.dataDir);
  await first.kill();
  assert.ok(postgresPid !== undefined && isRunning(postgresPid), 'nobody stopped it');
  const second = await first.again().waitReady();
  assert.equal(postmasterPid(second.dataDir), postgresPid);
  assert.deepEqual(await second.stop(), { code: 0, signal: null });
  assert.equal(isRunning(postgresPid), false);
});

test('a second SIGTERM skips to the end', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t, { env: { SLUICE_ROUTER_HTTP_TIMEOUT_MS: '60000' } });
  // An answer that never comes keeps a delivery under way, and with it the drain.
  destination.respond(() => new Promise<number>(() => undefined));
  await send(program, track('anna', 1));
  await pollUntil('the delivery to be under way', () => (destination.deliveries.length > 0 ? true : undefined));
  program.signal('SIGTERM');
  await pollUntil('the drain to refuse new events', async () => {
    const status = await fetch(`${program.gatewayUrl}/health`).then(
      (answer) => answer.status,
      () => 0,
    );
    return status === 200 ? undefined : true;
  });
  assert.ok(program.isRunning, 'the drain waits for the delivery');
  const secondAtMs = Date.now();
  program.signal('SIGTERM');
  await program.waitForExit();
  assert.ok(Date.now() - secondAtMs < 4_000, 'the rest of the drain is skipped');
  assert.equal(postmasterPid(program.dataDir), undefined, 'but PostgreSQL is still stopped');
});

test('a clean stop amid load warns of no message that reached nobody', { timeout: 120_000 }, async (t) => {
  const { program } = await startPipeline(t, {
    env: { SLUICE_LOG_FORMAT: 'json', SLUICE_THREADS_ACTORS: '2', SLUICE_PROCESSOR_SHARDS: '*=4' },
  });
  const batches = Array.from({ length: 8 }, (_none, batch) =>
    Array.from({ length: 500 }, (_event, sequence) => track(`user-${sequence % 50}`, sequence, `batch-${batch}`)),
  );
  // Accepted but not processed: processors make jobs of them while routers stop, and storage has nobody to hand them to.
  const posted = batches.map((batch) => post(`${program.gatewayUrl}/v1/batch`, { batch }, { writeKey }));
  await Promise.any(posted);
  const exit = program.stop();
  await Promise.allSettled(posted);
  assert.deepEqual(await exit, { code: 0, signal: null }, program.lastOutput());
  const lines = program.output.split('\n').filter((line) => line.startsWith('{'));
  assert.ok(lines.length > 0, 'logs are JSON');
  assert.deepEqual(
    lines.filter((line) => property(JSON.parse(line), 'text') === 'dead letter'),
    [],
  );
});

test('a destination that never answers does not hold the stop beyond its deadline', { timeout: 120_000 }, async (t) => {
  const deadlineMs = 15_000;
  const env = { SLUICE_DRAIN_DEADLINE_MS: String(deadlineMs), SLUICE_ROUTER_HTTP_TIMEOUT_MS: '120000' };
  const { program, destination } = await startPipeline(t, { env });
  destination.respond(() => new Promise(() => undefined));
  await send(program, track('anna', 0));
  await pollUntil('the delivery to be under way', () => (destination.deliveries.length > 0 ? true : undefined));
  const postgresPid = postmasterPid(program.dataDir);
  const askedAtMs = performance.now();
  assert.deepEqual(await program.stop(), { code: 1, signal: null }, 'cut short, and says so');
  const tookMs = performance.now() - askedAtMs;
  assert.ok(
    tookMs < deadlineMs,
    `expected the end within ${deadlineMs} ms, threads and PostgreSQL included, got ${tookMs}`,
  );
  assert.equal(postgresPid !== undefined && isRunning(postgresPid), false, 'PostgreSQL has ended too');
  destination.respond(() => 200);
  await program.again().waitReady();
  await destination.waitFor('the delivery that was cut short', () => destination.accepted().length === 1);
});
