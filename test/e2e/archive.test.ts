// Archives of the running program: events of sources that want one are there once, under one name, whatever is killed or
// away meanwhile; of others there is nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { FakeDestination } from '../support/fake-destination.ts';
import { startDestination } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { startPipeline } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import type { Program } from '../support/program.ts';
import { pendingJobs } from '../support/status.ts';

const settings = { dataRetention: { storagePreferences: { gatewayDumps: true } } };
const events = 30;

/** What is in the store: of each key what was put last. */
function archived(store: FakeDestination): { source: string; messageId: string; sequence: number }[] {
  const objects = new Map(store.accepted().map(({ path, body }) => [path, body]));
  return [...objects].flatMap(([path, body]) =>
    gunzipSync(body)
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => {
        const { messageId, payload } = JSON.parse(line);
        const source = path.split('/')[2] ?? '';
        return { source, messageId, sequence: Number(payload.properties.sequence) };
      }),
  );
}

async function sendAll(program: Program, from: number, count: number): Promise<void> {
  for (let sequence = from; sequence < from + count; sequence += 1) {
    for (const writeKey of ['wk-a', 'wk-transient', 'wk-b']) {
      const answer = await post(`${program.gatewayUrl}/v1/track`, track('ann', sequence, writeKey), { writeKey });
      assert.equal(answer.status, 200);
    }
  }
}

async function archivesOf(program: Program): Promise<{ sourceId: string; state: string; pending: number }[]> {
  const { archives } = (await program.json('/archives')) as { archives: never[] };
  return archives;
}

test('events are archived once each, under the same name again after a kill, and after the store was away', {
  timeout: 180_000,
}, async (t) => {
  const store = await startDestination(t);
  let whenPut: () => void = () => undefined;
  const wasPut = new Promise<void>((resolve) => {
    whenPut = resolve;
  });
  // The store has the object, and the program dies before it hears of it.
  store.respond(() => {
    whenPut();
    return new Promise<number>(() => undefined);
  });
  const started = await startPipeline(t, {
    sources: (destination) => [
      { id: 'a', writeKey: 'wk-a', settings, destinations: [{ id: 'd', url: destination.url() }] },
      { id: 't', writeKey: 'wk-transient', options: { transient: true }, destinations: [] },
      { id: 'b', writeKey: 'wk-b', workspaceId: 'ws-other', destinations: [] },
    ],
    env: {
      SLUICE_ARCHIVAL_STORAGE: 's3',
      SLUICE_ARCHIVAL_BUCKET: 'bucket',
      SLUICE_ARCHIVAL_ENDPOINT: store.url('').replace(/\/$/, ''),
      SLUICE_ARCHIVAL_ACCESS_KEY_ID: 'key',
      SLUICE_ARCHIVAL_SECRET_ACCESS_KEY: 'secret',
      SLUICE_ARCHIVAL_EVERY_MS: '300',
      SLUICE_ARCHIVAL_RETRY_MS: '100',
      SLUICE_ARCHIVAL_EVENTS_MAX: '12',
    },
  });
  await sendAll(started.program, 0, events / 2);
  await wasPut;
  await started.program.kill();
  const lost = store.deliveries.map(({ path }) => path);

  store.respond(({ attempt }) => (attempt === 1 && store.accepted().length === 0 ? 503 : 200));
  const program = started.program.again();
  await program.waitReady();
  await sendAll(program, events / 2, events / 2);
  await store.waitFor('all events to be archived', () => archived(store).length >= events);
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  const found = archived(store);
  assert.deepEqual(
    found.map(({ sequence }) => sequence).sort((a, b) => a - b),
    Array.from({ length: events }, (_, index) => index),
    'every event once',
  );
  assert.deepEqual([...new Set(found.map(({ source }) => source))], ['a'], 'nothing of the others');
  assert.ok(
    store.accepted().some(({ path }) => lost.includes(path)),
    'what was put before the kill was put again under its name',
  );
  const { alarms } = (await program.json('/status')) as { alarms: unknown[] };
  assert.deepEqual(alarms, [], 'the ledger balances');

  const paused = await fetch(`${program.adminUrl}/archives/a/pause`, { method: 'POST', body: '{"reason":"move"}' });
  assert.equal(paused.status, 200);
  const before = store.accepted().length;
  await sendAll(program, events, 1);
  const waits = await pollUntil('the event to wait', async () => {
    const [archive] = await archivesOf(program);
    return archive?.pending === 1 ? archive : undefined;
  });
  assert.equal(waits.state, 'paused');
  assert.equal(store.accepted().length, before);
  await fetch(`${program.adminUrl}/archives/a/resume`, { method: 'POST' });
  await store.waitFor('the event that waited', () => archived(store).length === events + 1);
});
