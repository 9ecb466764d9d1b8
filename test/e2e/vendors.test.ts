// Destinations with an API of their own, by the whole program: events go in batches that keep every user's order, one
// that the vendor refuses harms no other, and a type that nothing delivers to says so instead of filling a queue.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCluster } from '../support/embedded-cluster.ts';
import type { FakeDestination } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { readLedger } from '../support/ledger.ts';
import { sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { pollUntil } from '../support/poll.ts';
import { pendingJobs } from '../support/status.ts';
import type { SourceSpec } from '../support/workspace-file.ts';

const users = ['anna', 'bela', 'carl', 'dora'];
const perUser = 20;
const refused = { user: 'bela', sequence: 7 };
const listMax = 10;

function sources(destination: FakeDestination): SourceSpec[] {
  const apiUrl = destination.url('/rest');
  const propertiesMapping = [
    { to: '$.user', from: '$.userId' },
    { to: '$.sequence', from: '$.properties.sequence' },
  ];
  const rest = { apiUrl, isBatchingEnabled: true, maxBatchSize: String(listMax), propertiesMapping };
  const posthog = { teamApiKey: 'key', yourInstance: destination.url('/posthog') };
  const destinations = [
    { id: 'posthog', url: '', type: 'POSTHOG', config: posthog },
    { id: 'rest', url: '', type: 'HTTP', config: rest },
    { id: 'lake', url: '', type: 'S3_DATALAKE', config: { bucketName: 'b' } },
  ];
  return [{ id: sourceId, writeKey, destinations }];
}

interface Seen {
  user: string;
  sequence: number;
}

/** What each accepted request held. */
function requestsTo(destination: FakeDestination, path: string): Seen[][] {
  return destination.accepted(path).map(({ body }) => {
    const sent = JSON.parse(body.toString());
    const events: Record<string, unknown>[] = Array.isArray(sent) ? sent : sent.batch;
    return events.map(({ user, sequence, distinct_id: id, properties }) => ({
      user: String(user ?? id),
      sequence: Number(sequence ?? (properties as { sequence: number }).sequence),
    }));
  });
}

function expected(user: string, gaps: readonly Seen[] = []): number[] {
  const all = Array.from({ length: perUser }, (_, sequence) => sequence);
  return all.filter((sequence) => !gaps.some((gap) => gap.user === user && gap.sequence === sequence));
}

test('events reach vendors in batches, in order, and what they refuse harms no other', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t, { sources });
  let accepted: (() => void) | undefined;
  const everything = new Promise<void>((resolve) => {
    accepted = resolve;
  });
  destination.respond(async ({ body }) => {
    // While the first requests are under way the others come together.
    await everything;
    const text = body.toString();
    return text.includes('batch') && text.includes(`"${refused.user}-${refused.sequence}"`) ? 400 : 200;
  });
  const batch = Array.from({ length: perUser }, (_, sequence) =>
    users.map((user) => {
      const event = track(user, sequence);
      return { ...event, properties: { ...event.properties, mark: `${user}-${sequence}` } };
    }),
  ).flat();
  const answer = await post(`${program.gatewayUrl}/v1/batch`, { batch }, { writeKey });
  assert.equal(answer.status, 200, answer.text);
  await pollUntil('both vendors to be asked', async () =>
    new Set(destination.deliveries.map(({ path }) => path)).size === 2 ? true : undefined,
  );
  accepted?.();
  await pollUntil('the queues to be empty', async () =>
    pendingJobs(await program.json('/status')) === 0 ? true : undefined,
  );

  const posthog = requestsTo(destination, '/posthog/batch/');
  const rest = requestsTo(destination, '/rest');
  for (const user of users) {
    const sequencesIn = (requests: Seen[][]) =>
      requests
        .flat()
        .filter((seen) => seen.user === user)
        .map(({ sequence }) => sequence);
    assert.deepEqual(sequencesIn(rest), expected(user));
    assert.deepEqual(sequencesIn(posthog), expected(user, [refused]));
  }
  assert.ok(rest.length < batch.length / 2, `expected batches, got ${rest.length} requests`);
  assert.ok(rest.every((events) => events.length <= listMax));
  const ledger = await readLedger(openCluster(t, program.dataDir));
  const of = (id: string, kind: 'aborted' | 'delivered') => ledger.count(sourceId, id, kind);
  assert.deepEqual([of('posthog', 'delivered'), of('posthog', 'aborted')], [batch.length - 1, 1]);
  assert.deepEqual([of('rest', 'delivered'), of('rest', 'aborted')], [batch.length, 0]);
  assert.deepEqual([of('lake', 'delivered'), of('lake', 'aborted')], [0, batch.length]);
  const { destinations } = (await program.json('/status')) as {
    destinations: { destinationId: string; state: string }[];
  };
  assert.deepEqual(
    destinations.map(({ destinationId, state }) => [destinationId, state]),
    [['lake', 'refused']],
  );
});
