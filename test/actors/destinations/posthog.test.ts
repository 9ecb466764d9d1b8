// POSTHOG: what PostHog's capture API gets for each type of event.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventObject } from '../../../actors/destinations/destination.ts';
import { goldenMetadata, problemOf, sentBy, transformer } from '../../support/destinations.ts';

const transform = transformer('POSTHOG', { teamApiKey: 'phc', yourInstance: 'https://eu.i.posthog.com' });
const time = '2026-03-01T11:59:00.000Z';

function captured(event: EventObject): Record<string, unknown> {
  const { batch } = sentBy(transform({ timestamp: time, ...event })).body as { batch: Record<string, unknown>[] };
  assert.equal(batch.length, 1);
  return batch[0] ?? {};
}

test('a track is captured with its properties and context', () => {
  const event = {
    type: 'track',
    event: 'Paid',
    anonymousId: 'a1',
    properties: { total: 1, $ip: 'own' },
    context: { ip: '1.2.3.4', page: { url: 'https://shop/' }, campaign: { source: 'ads' }, os: { name: 'iOS' } },
    timestamp: time,
  };
  const { request, body } = sentBy(transform(event));
  assert.equal(request.endpoint, 'https://eu.i.posthog.com/batch/');
  assert.deepEqual(body, {
    api_key: 'phc',
    batch: [
      {
        event: 'Paid',
        distinct_id: 'a1',
        properties: { $ip: 'own', $current_url: 'https://shop/', $os: 'iOS', utm_source: 'ads', total: 1 },
        timestamp: time,
        uuid: goldenMetadata.messageId,
      },
    ],
  });
});

test('an identify sets the person, and merges the visitor it was', () => {
  const traits = { plan: 'pro' };
  assert.deepEqual(captured({ type: 'identify', userId: 'u1', anonymousId: 'a1', traits }), {
    event: '$identify',
    distinct_id: 'u1',
    properties: { $set: traits, $anon_distinct_id: 'a1' },
    timestamp: time,
    uuid: goldenMetadata.messageId,
  });
  for (const ids of [{ userId: 'u1' }, { anonymousId: 'a1' }, { userId: 'x', anonymousId: 'x' }])
    assert.deepEqual(captured({ type: 'identify', ...ids, traits }).properties, { $set: traits });
});

test('pages and screens are those PostHog knows', () => {
  const page = captured({ type: 'page', userId: 'u', name: 'Home', properties: { url: 'https://shop/', path: '/' } });
  assert.equal(page.event, '$pageview');
  assert.deepEqual(page.properties, {
    url: 'https://shop/',
    path: '/',
    $current_url: 'https://shop/',
    $pathname: '/',
    name: 'Home',
  });
  const screen = captured({ type: 'screen', userId: 'u', properties: { name: 'Cart' } });
  assert.equal(screen.event, '$screen');
  assert.deepEqual(screen.properties, { name: 'Cart', $screen_name: 'Cart' });
});

test('groups and aliases become their special events', () => {
  const group = captured({ type: 'group', userId: 'u', groupId: 'acme', traits: { seats: 3 } });
  assert.equal(group.event, '$groupidentify');
  assert.deepEqual(group.properties, { $group_type: 'company', $group_key: 'acme', $group_set: { seats: 3 } });
  const alias = captured({ type: 'alias', userId: 'u', previousId: 'old' });
  assert.equal(alias.event, '$create_alias');
  assert.deepEqual(alias.properties, { distinct_id: 'u', alias: 'old' });
});

test('what cannot be captured is aborted with the field', () => {
  for (const [event, reason] of [
    [{ type: 'track', event: 'x' }, 'userId and anonymousId are missing'],
    [{ type: 'track', userId: 'u' }, 'event is missing'],
    [{ type: 'group', userId: 'u' }, 'groupId is missing'],
    [{ type: 'alias', userId: 'u' }, 'previousId is missing'],
  ] as const)
    assert.deepEqual(transform(event), { kind: 'aborted', code: 400, reason });
  assert.equal(problemOf('POSTHOG', {}), 'teamApiKey is missing');
});
