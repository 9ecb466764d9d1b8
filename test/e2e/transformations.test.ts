// Customers' code in the running program: events change on their way, are dropped or multiplied, in order and counted;
// code that misbehaves costs its own events and nobody else's.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster } from '../support/embedded-cluster.ts';
import { eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { send, sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs } from '../support/status.ts';
import type { SourceSpec } from '../support/workspace-file.ts';

const code = `
  export async function transformEvent(event, metadata) {
    const n = event.properties.sequence;
    if (n === 3) return null;
    if (n === 5) throw new Error('no fives');
    if (n === 7) for (;;);
    const copy = { ...event, source: metadata(event).sourceId };
    return n === 4 ? [copy, { ...copy, second: true }] : copy;
  }`;

function sources(destination: FakeDestination): SourceSpec[] {
  return [
    {
      id: sourceId,
      writeKey,
      destinations: [
        { id: 'plain', url: destination.url('/plain') },
        { id: 'changed', url: destination.url('/changed'), code },
      ],
    },
    { id: 'other', writeKey: 'wk-other', destinations: [{ id: 'quiet', url: destination.url('/quiet') }] },
  ];
}

function sequencesAt(destination: FakeDestination, path: string): number[] {
  const here = destination.accepted().filter((delivery) => delivery.path === path);
  return here.map((delivery) => eventOf(delivery).sequence);
}

test('events go through the code of their destination, in order, and every one is counted', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t, {
    sources,
    env: { SLUICE_TRANSFORMATIONS_PAUSE_MS_MAX: '200' },
  });
  for (let sequence = 0; sequence < 10; sequence += 1) await send(program, track('anna', sequence));
  await destination.waitForAccepted(18);
  const expected = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  assert.deepEqual(sequencesAt(destination, '/plain'), expected);
  assert.deepEqual(sequencesAt(destination, '/changed'), [0, 1, 2, 4, 4, 6, 8, 9]);
  const changed = destination.accepted().filter(({ path }) => path === '/changed');
  assert.ok(changed.every(({ body }) => JSON.parse(body.toString()).source === sourceId));

  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  const postgres = openCluster(t, program.dataDir);
  const ledger = await readLedger(postgres);
  assert.deepEqual(ledger.faults(await program.json('/status')), []);
  const of = (kind: 'routed' | 'filtered' | 'aborted' | 'delivered') => ledger.count(sourceId, 'changed', kind);
  assert.deepEqual([of('routed'), of('filtered'), of('aborted'), of('delivered')], [11, 1, 2, 8]);
  const { rows } = await postgres.query<{ response: string }>(
    "SELECT response FROM gw_status_1 WHERE response LIKE '%aborted%'",
  );
  const reasons = rows.map(({ response }) => response).join('\n');
  assert.match(reasons, /Error: no fives/);
  assert.match(reasons, /timed out/);
});
