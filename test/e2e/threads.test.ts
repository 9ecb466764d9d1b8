// The pipeline over several actor threads: partitions spread, and every promise holds all the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventOf } from '../support/fake-destination.ts';
import { post, track } from '../support/gateway-client.ts';
import { checkDeliveries } from '../support/order-checker.ts';
import { asSent, startPipeline } from '../support/pipeline.ts';

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
