// CUSTOMERIO: what the Track API gets for each type of event, and what its answers to batches mean.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchVerdicts } from '../../../actors/destinations/batch.ts';
import type { EventObject } from '../../../actors/destinations/destination.ts';
import { goldenMetadata, problemOf, sentBy, transformer, typeNamed } from '../../support/destinations.ts';

const timestamp = '2026-03-01T11:59:00.000Z';
const seconds = Date.parse(timestamp) / 1000;
const transform = transformer('CUSTOMERIO', { siteID: 'site', apiKey: 'key', datacenter: 'eu' });

function operation(event: EventObject): Record<string, unknown> {
  const { request, body } = sentBy(transform({ timestamp, ...event }));
  assert.equal(request.endpoint, 'https://track-eu.customer.io/api/v2/batch');
  assert.equal(request.headers.Authorization, `Basic ${Buffer.from('site:key').toString('base64')}`);
  return (body as { batch: Record<string, unknown>[] }).batch[0] ?? {};
}

test('an identify sets attributes of a person', () => {
  const traits = { plan: 'pro', createdAt: '2026-01-01T00:00:00Z' };
  const attributes = { plan: 'pro', created_at: 1767225600, anonymous_id: 'a1', _timestamp: seconds };
  assert.deepEqual(operation({ type: 'identify', userId: 'u1', anonymousId: 'a1', traits }), {
    type: 'person',
    action: 'identify',
    identifiers: { id: 'u1' },
    attributes,
  });
  assert.deepEqual(operation({ type: 'identify', traits: { email: 'a@b.c' } }).identifiers, { email: 'a@b.c' });
});

test('events, pages and screens are of a person', () => {
  const happened = { id: goldenMetadata.messageId, timestamp: seconds, attributes: { total: 1 } };
  const properties = { total: 1 };
  const about = { type: 'person', identifiers: { id: 'u1' } };
  assert.deepEqual(operation({ type: 'track', userId: 'u1', event: 'Paid', properties }), {
    ...about,
    action: 'event',
    name: 'Paid',
    ...happened,
  });
  assert.deepEqual(operation({ type: 'page', userId: 'u1', name: 'Home', properties }), {
    ...about,
    action: 'page',
    name: 'Home',
    ...happened,
  });
  assert.equal(operation({ type: 'screen', userId: 'u1', name: 'Cart' }).action, 'screen');
  assert.equal(transform({ type: 'page', userId: 'u1' }).kind, 'aborted');
});

test('events of visitors go to the endpoint that knows them', () => {
  const { request, body } = sentBy(transform({ type: 'page', anonymousId: 'a1', name: 'Home', timestamp }));
  assert.equal(request.endpoint, 'https://track-eu.customer.io/api/v1/events');
  assert.equal(request.batch, undefined);
  assert.deepEqual(body, {
    name: 'Home',
    type: 'page',
    anonymous_id: 'a1',
    id: goldenMetadata.messageId,
    timestamp: seconds,
    data: {},
  });
  assert.equal(transform({ type: 'identify', anonymousId: 'a1' }).kind, 'filtered');
});

test('an application that is opened registers its device', () => {
  const device = { token: 't1', type: 'iOS' };
  const opened = { type: 'track', userId: 'u1', event: 'Application Opened', context: { device } };
  assert.deepEqual(operation(opened), {
    type: 'person',
    action: 'add_device',
    identifiers: { id: 'u1' },
    device: { token: 't1', platform: 'ios', last_used: seconds, attributes: {} },
  });
  assert.equal(operation({ ...opened, context: {} }).action, 'event');
});

test('groups are objects with their people, aliases merge people', () => {
  assert.deepEqual(operation({ type: 'group', userId: 'u1', groupId: 'g1', traits: { objectTypeId: 2, seats: 3 } }), {
    type: 'object',
    action: 'identify',
    identifiers: { object_type_id: '2', object_id: 'g1' },
    attributes: { seats: 3 },
    cio_relationships: [{ identifiers: { id: 'u1' } }],
  });
  assert.deepEqual(operation({ type: 'alias', userId: 'new', previousId: 'old' }), {
    type: 'person',
    action: 'merge',
    primary: { id: 'new' },
    secondary: { id: 'old' },
  });
});

test('207 took all but what it names', () => {
  const { batch } = typeNamed('CUSTOMERIO');
  assert.ok(batch);
  const answer = { errors: [{ batch_index: 0, reason: 'required', field: 'name', message: 'name is required' }] };
  const first = { kind: 'ended', code: 400, reason: 'name is required' };
  assert.deepEqual(batchVerdicts(batch, 207, JSON.stringify(answer), 2), [first, { kind: 'ended', code: 200 }]);
  assert.deepEqual(batchVerdicts(batch, 207, 'no JSON', 1), [{ kind: 'ended', code: 207 }]);
});

test('what is too large or about nobody is aborted, bad settings name the key', () => {
  const large = transform({ type: 'track', userId: 'u', event: 'x', properties: { text: 'x'.repeat(40_000) } });
  assert.ok(large.kind === 'aborted' && large.code === 413);
  assert.deepEqual(transform({ type: 'track', event: 'x' }), {
    kind: 'aborted',
    code: 400,
    reason: 'userId, traits.email and anonymousId are missing',
  });
  assert.equal(problemOf('CUSTOMERIO', { apiKey: 'k' }), 'siteID is missing');
});
