// The pipeline over several actor threads: partitions spread, and every promise holds all the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventOf } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { checkDeliveries } from '../support/order-checker.ts';
import { asSent, destinationId, sourceId, startPipeline, writeKey } from '../support/pipeline.ts';
import { property } from '../support/status.ts';

const sources = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'];
const destinationsPerSource = 3;
const eventsPerSource = 40;

test('partitions on several threads deliver everything once and in order, retries included', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t, {
    env: { SLUICE_THREADS_ACTORS: '3' },
    sources: (sink) =>
      sources.map((source) => ({
        id: source,
        writeKey: `wk-${source}`,
        destinations: Array.from({ length: destinationsPerSource }, (_, index) => ({
          id: `${source}-${index}`,
          url: sink.url(`/${source}/${index}`),
        })),
      })),
  });
  // Every fifth event of every destination fails once.
  destination.respond((delivery) => (delivery.attempt === 1 && eventOf(delivery).sequence % 5 === 0 ? 503 : 200));
  const sent = sources.map((source) => ({
    source,
    events: Array.from({ length: eventsPerSource }, (_, sequence) => track(`user-of-${source}`, sequence)),
  }));
  await Promise.all(
    sent.map(async ({ source, events }) => {
      for (const event of events) {
        const answer = await post(`${program.gatewayUrl}/v1/track`, event, { writeKey: `wk-${source}` });
        assert.equal(answer.status, 200);
      }
    }),
  );
  await destination.waitForAccepted(sources.length * destinationsPerSource * eventsPerSource);
  for (const { source, events } of sent) {
    for (let index = 0; index < destinationsPerSource; index += 1) {
      const arrived = destination
        .accepted()
        .filter((delivery) => delivery.path === `/${source}/${index}`)
        .map((delivery) => ({ ...eventOf(delivery), idempotencyKey: delivery.idempotencyKey }));
      const report = checkDeliveries(events.map(asSent), arrived);
      assert.deepEqual(report, { lost: [], unknown: [], duplicates: [], unrecognisable: [], outOfOrder: [] });
    }
  }
});

test('a source and a destination split over threads keep the order of each visitor, also when he signs up', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t, {
    env: {
      SLUICE_THREADS_ACTORS: '2',
      SLUICE_PROCESSOR_SHARDS: `${sourceId}=3`,
      SLUICE_ROUTER_SHARDS: `${destinationId}=2`,
    },
  });
  destination.respond((delivery) => (delivery.attempt === 1 && eventOf(delivery).sequence % 5 === 0 ? 503 : 200));
  const visitors = Array.from({ length: 8 }, (_, visitor) => `visitor-${visitor}`);
  const sent = visitors.flatMap((visitor) =>
    Array.from({ length: 20 }, (_, sequence) => {
      // Anonymous at first; from the sign-up on both ids, several visitors being one user.
      const { userId: _anonymous, ...event } = track(visitor, sequence);
      const known = sequence < 8 ? {} : { userId: `user-${visitors.indexOf(visitor) % 3}` };
      return { ...event, anonymousId: visitor, ...known };
    }),
  );
  // One request with everything: a batch is one commit, however many shards it goes to.
  const answer = await post(`${program.gatewayUrl}/v1/batch`, { batch: sent }, { writeKey });
  assert.equal(answer.status, 200);
  await destination.waitForAccepted(sent.length);
  const arrived = destination.accepted().map((delivery) => {
    const { messageId, sequence } = eventOf(delivery);
    const visitor = messageId.split('-').slice(1, 3).join('-');
    return { userId: visitor, messageId, sequence, idempotencyKey: delivery.idempotencyKey };
  });
  const expected = sent.map(({ anonymousId, messageId, properties }) =>
    asSent({ userId: anonymousId, messageId, properties }),
  );
  const report = checkDeliveries(expected, arrived);
  assert.deepEqual(report, { lost: [], unknown: [], duplicates: [], unrecognisable: [], outOfOrder: [] });
  const partitions = property(await program.json('/status'), 'partitions');
  assert.ok(Array.isArray(partitions));
  const unsplit = partitions.map((row) => String(property(row, 'partition'))).filter((name) => !/#\d$/.test(name));
  assert.deepEqual({ unsplit, isSplit: partitions.length > 3 }, { unsplit: [], isSplit: true });
});
