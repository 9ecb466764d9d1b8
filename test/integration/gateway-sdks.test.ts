// The Node SDKs against a gateway that cannot take events at first, on both engines: what we answer must be understood as
// "later", and what they send again (batches, packed) must come in whole.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import RudderAnalytics from '@rudderstack/rudder-sdk-node';
import { Analytics } from '@segment/analytics-node';
import { type GatewayFixture, startTestGateway, writeKey } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';
import { until } from '../support/until.ts';

const events = 30;
const refusals = 1;

/** The gateway is closed for the first request; returns how many it has looked at. */
function refuseFirst({ disk }: GatewayFixture): () => number {
  let asked = 0;
  Object.defineProperty(disk, 'low', {
    get: () => {
      asked += 1;
      return asked <= refusals;
    },
  });
  return () => asked;
}

function sequencesOf({ storage }: GatewayFixture): unknown[] {
  return storage.stored.map(({ payload }) => JSON.parse(Buffer.from(payload).toString()).properties.sequence);
}

for (const engine of httpEngines) {
  describe(`a client that is refused with 503 by ${engine} sends again`, () => {
    test('the RudderStack Node SDK, packed', async (t) => {
      const fixture = await startTestGateway(t, engine);
      const asked = refuseFirst(fixture);
      const dataPlaneUrl = `http://127.0.0.1:${fixture.gateway.port}`;
      const client = new RudderAnalytics(writeKey, { dataPlaneUrl, flushAt: 20, flushInterval: 50, gzip: true });
      for (let sequence = 0; sequence < events; sequence += 1) {
        client.track({ userId: 'user', event: 'Seen', properties: { sequence } });
      }
      await client.flush();
      await until(() => fixture.storage.stored.length === events);
      assert.deepEqual(sequencesOf(fixture), [...Array(events).keys()]);
      assert.ok(asked() > refusals);
    });

    test('the Segment Node SDK', async (t) => {
      const fixture = await startTestGateway(t, engine);
      const asked = refuseFirst(fixture);
      const host = `http://127.0.0.1:${fixture.gateway.port}`;
      const client = new Analytics({ writeKey, host, maxEventsInBatch: events, flushInterval: 50 });
      for (let sequence = 0; sequence < events; sequence += 1) {
        client.track({ userId: 'user', event: 'Seen', properties: { sequence } });
      }
      await client.closeAndFlush();
      assert.deepEqual(sequencesOf(fixture), [...Array(events).keys()]);
      assert.ok(asked() > refusals);
    });
  });
}
