// SEGMENT: the event as it is, within the limits of the HTTP Tracking API.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goldenMetadata, problemOf, sentBy, transformer } from '../../support/destinations.ts';

const transform = transformer('SEGMENT', { writeKey: 'wk' });
const track = {
  type: 'track',
  event: 'Paid',
  userId: 'u1',
  anonymousId: 'a1',
  properties: { total: 1 },
  context: { ip: '1.2.3.4' },
  integrations: { All: true },
  originalTimestamp: '2026-03-01T11:00:00.000Z',
  timestamp: '2026-03-01T11:59:00.000Z',
  sentAt: 'x',
  receivedAt: 'y',
  rudderId: 'r',
};

test('an event goes in a batch of one, with what Segment knows', () => {
  const { request, body } = sentBy(transform(track));
  assert.equal(request.endpoint, 'https://api.segment.io/v1/batch');
  assert.equal(request.headers.Authorization, `Basic ${Buffer.from('wk:').toString('base64')}`);
  assert.deepEqual(body, {
    batch: [
      {
        type: 'track',
        userId: 'u1',
        anonymousId: 'a1',
        event: 'Paid',
        properties: { total: 1 },
        context: { ip: '1.2.3.4' },
        timestamp: '2026-03-01T11:59:00.000Z',
        messageId: goldenMetadata.messageId,
      },
    ],
  });
});

test('workspaces in the EU have an address of their own', () => {
  const { request } = sentBy(transformer('SEGMENT', { writeKey: 'wk', region: 'EU' })(track));
  assert.equal(request.endpoint, 'https://events.eu1.segmentapis.com/v1/batch');
  assert.equal(problemOf('SEGMENT', {}), 'writeKey is missing');
});

test('what Segment would drop is aborted with the field', () => {
  for (const [event, reason] of [
    [{ type: 'track', event: 'x' }, 'userId and anonymousId are missing'],
    [{ type: 'track', userId: 'u' }, 'event is missing'],
    [{ type: 'group', userId: 'u' }, 'groupId is missing'],
    [{ type: 'alias', userId: 'u' }, 'previousId is missing'],
  ] as const)
    assert.deepEqual(transform(event), { kind: 'aborted', code: 400, reason });
  const large = transform({ ...track, properties: { text: 'x'.repeat(40_000) } });
  assert.ok(large.kind === 'aborted' && large.code === 413 && /at most 32768 bytes/.test(large.reason));
});
