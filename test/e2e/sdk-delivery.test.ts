// The published SDKs are our clients: what they send must arrive once, in order per user, as they sent it; and numbers
// that only other languages can write must arrive too.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import RudderAnalytics from '@rudderstack/rudder-sdk-node';
import { Analytics } from '@segment/analytics-node';
import { type DeliveredEvent, eventOf, type FakeDestination } from '../support/fake-destination.ts';
import { post } from '../support/gateway-client.ts';
import { startPipeline, writeKey } from '../support/pipeline.ts';

const events = 1_000;
const users = 10;

interface PlannedEvent {
  userId: string;
  sequence: number;
}

/** Round robin: event i belongs to user i % users. */
function plan(prefix: string): PlannedEvent[] {
  return Array.from({ length: events }, (_, index) => ({
    userId: `${prefix}-${index % users}`,
    sequence: Math.floor(index / users),
  }));
}

function assertDeliveredOnceInOrder(destination: FakeDestination, planned: readonly PlannedEvent[]): void {
  const delivered = destination.accepted().map(eventOf);
  assert.equal(destination.deliveries.length, planned.length, 'every event is sent to the destination exactly once');
  assert.equal(new Set(delivered.map(({ messageId }) => messageId)).size, planned.length);
  const perUser = new Map<string, number[]>();
  for (const { userId, sequence } of delivered) perUser.set(userId, [...(perUser.get(userId) ?? []), sequence]);
  assert.equal(perUser.size, users);
  for (const [userId, sequences] of perUser) {
    assert.deepEqual(sequences, [...Array(events / users).keys()], `events of ${userId} in the order they were sent`);
  }
}

function assertFilledIn(event: DeliveredEvent & Record<string, unknown>): void {
  for (const field of ['messageId', 'originalTimestamp', 'receivedAt', 'context']) {
    assert.ok(event[field] !== undefined, `expected the delivered event to have ${field}`);
  }
}

test('delivers 1,000 events of the RudderStack Node SDK once and in order per user', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t);
  const client = new RudderAnalytics(writeKey, { dataPlaneUrl: program.gatewayUrl, flushAt: 20, flushInterval: 50 });
  const planned = plan('rudder');
  for (const { userId, sequence } of planned) {
    client.track({ userId, event: 'Order Completed', properties: { sequence, total: 12.5 } });
  }
  await client.flush();
  await destination.waitForAccepted(events);
  assertDeliveredOnceInOrder(destination, planned);
  for (const delivery of destination.deliveries) {
    assertFilledIn(JSON.parse(delivery.body.toString('utf8')));
    assert.notEqual(delivery.idempotencyKey, '');
    assert.equal(delivery.headers['x-test'], 'sluice');
  }
});

test('delivers 1,000 events of the Segment Node SDK once and in order per user', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  const client = new Analytics({ writeKey, host: program.gatewayUrl, maxEventsInBatch: 20, flushInterval: 50 });
  const failures: unknown[] = [];
  client.on('error', (failure) => failures.push(failure));
  const planned = plan('segment');
  // One batch is under way at a time: this SDK sends batches concurrently, and then nobody can say what their order is.
  for (let from = 0; from < planned.length; from += 20) {
    const batch = planned.slice(from, from + 20);
    const sent = batch.map(
      ({ userId, sequence }) =>
        new Promise<void>((resolve, reject) => {
          const event = { userId, event: 'Order Completed', properties: { sequence, total: 12.5 } };
          client.track(event, (error) => (error === undefined ? resolve() : reject(error)));
        }),
    );
    await client.flush();
    await Promise.all(sent);
  }
  await client.closeAndFlush();
  assert.deepEqual(failures, []);
  await destination.waitForAccepted(events);
  assertDeliveredOnceInOrder(destination, planned);
  for (const delivery of destination.deliveries) assertFilledIn(JSON.parse(delivery.body.toString('utf8')));
});

test('delivers every kind of call', { timeout: 120_000 }, async (t) => {
  const { program, destination } = await startPipeline(t);
  const client = new RudderAnalytics(writeKey, { dataPlaneUrl: program.gatewayUrl, flushAt: 20, flushInterval: 50 });
  const userId = 'user-1';
  client.identify({ userId, traits: { plan: 'free' } });
  client.track({ userId, event: 'Signed Up' });
  client.page({ userId, name: 'Home' });
  client.screen({ userId, name: 'Start' });
  client.group({ userId, groupId: 'group-1' });
  client.alias({ userId, previousId: 'user-0' });
  await client.flush();
  await destination.waitForAccepted(6);
  const types = destination.accepted().map((delivery) => eventOf(delivery).type);
  assert.deepEqual(types, ['identify', 'track', 'page', 'screen', 'group', 'alias']);
});

test('delivers every number as it was written, also through code that leaves it alone', {
  timeout: 120_000,
}, async (t) => {
  const { program, destination } = await startPipeline(t, {
    sources: (at) => {
      const code = 'export function transformEvent(event) { event.event = "Renamed"; return event; }';
      const destinations = [
        { id: 'plain', url: at.url('/plain') },
        { id: 'coded', url: at.url('/coded'), code },
      ];
      return [{ id: 'src', writeKey, destinations }];
    },
  });
  const numbers = '"a":9223372036854775807,"b":-18446744073709551617,"c":1e400,"d":-0,"e":1.10';
  const event = `{"userId":"u","event":"Seen","timestamp":"2026-03-01T12:00:00+00:00","properties":{${numbers}}}`;
  const answer = await post(`${program.gatewayUrl}/v1/track`, event, { writeKey });
  assert.equal(answer.status, 200);
  await destination.waitForAccepted(2);
  const [plain] = destination.accepted('/plain');
  const [coded] = destination.accepted('/coded');
  assert.ok(plain?.body.toString().includes(`"properties":{${numbers}}`), plain?.body.toString());
  assert.match(coded?.body.toString() ?? '', /"Renamed".*"a":9223372036854775807,"b":-18446744073709551617,/);
});
