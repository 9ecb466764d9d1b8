// Destinations of a type only the remote transformer knows: while it is away their events wait, beside others of the
// same source that notice nothing; when it is there everything arrives, in order, and every event is counted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventObject } from '../../actors/destinations/destination.ts';
import { openCluster } from '../support/embedded-cluster.ts';
import { eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { freePorts } from '../support/free-ports.ts';
import { track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { send, sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs } from '../support/status.ts';
import { TestTransformer } from '../support/test-transformer.ts';
import type { SourceSpec } from '../support/workspace-file.ts';

const count = 20;

function sources(destination: FakeDestination): SourceSpec[] {
  return [
    {
      id: sourceId,
      writeKey,
      destinations: [
        { id: 'plain', url: destination.url('/plain') },
        { id: 'remote', url: destination.url('/remote'), type: 'SOMETHING_ELSE' },
      ],
    },
  ];
}

function sequencesAt(destination: FakeDestination, path: string): number[] {
  return destination.accepted(path).map((delivery) => eventOf(delivery).sequence);
}

const sequenceOf = (message: EventObject): unknown => (message.properties as { sequence?: unknown }).sequence;

test('a transformer that is away holds only the destinations that need it, and loses nothing', {
  timeout: 120_000,
}, async (t) => {
  const [port = 0] = await freePorts(1);
  const { program, destination } = await startPipeline(t, {
    sources,
    env: {
      SLUICE_TRANSFORMER_URL: `http://127.0.0.1:${port}`,
      SLUICE_ROUTER_RETRY_WINDOW_MS: '0',
      SLUICE_ROUTER_ATTEMPTS_MAX: '1',
      SLUICE_ROUTER_BREAKER_PROBE_MS_MAX: '1000',
    },
  });
  for (let sequence = 0; sequence < count; sequence += 1) await send(program, track('anna', sequence));
  const all = Array.from({ length: count }, (_, index) => index);
  await destination.waitFor(
    'the plain destination to have everything',
    () => sequencesAt(destination, '/plain').length === count,
  );
  assert.deepEqual(sequencesAt(destination, '/plain'), all);
  assert.deepEqual(sequencesAt(destination, '/remote'), []);

  const transformer = await TestTransformer.start(t, port);
  transformer.rule = ({ message, destination: { Config } }) => {
    const { webhookUrl: endpoint } = Config as { webhookUrl: string };
    if (sequenceOf(message) === 3) return [{ statusCode: 298, error: 'not wanted' }];
    if (sequenceOf(message) === 5) return [{ statusCode: 400, error: 'no fives' }];
    return [{ statusCode: 200, output: { type: 'REST', method: 'POST', endpoint, body: { JSON: message } } }];
  };
  await destination.waitFor(
    'the other one to have what it can',
    () => sequencesAt(destination, '/remote').length === count - 2,
  );
  assert.deepEqual(
    sequencesAt(destination, '/remote'),
    all.filter((sequence) => sequence !== 3 && sequence !== 5),
  );
  const tested = await fetch(`${program.adminUrl}/destinations/remote/test`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ event: { type: 'track', properties: { sequence: 99 } } }),
  });
  assert.deepEqual([tested.status, ((await tested.json()) as { code: number }).code], [200, 200]);
  assert.equal(sequencesAt(destination, '/remote').at(-1), 99);
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );
  const postgres = openCluster(t, program.dataDir);
  const ledger = await readLedger(postgres);
  assert.deepEqual(ledger.faults(await program.json('/status')), []);
  const of = (kind: 'routed' | 'filtered' | 'aborted' | 'delivered') => ledger.count(sourceId, 'remote', kind);
  assert.deepEqual([of('routed'), of('filtered'), of('aborted'), of('delivered')], [count, 1, 1, count - 2]);
  const { rows } = await postgres.query<{ response: string }>(
    "SELECT response FROM rt_status_1 WHERE state = 'aborted' OR response LIKE '%no fives%'",
  );
  assert.match(rows.map(({ response }) => response).join('\n'), /no fives/);
});
