// AM: what Amplitude's HTTP V2 API gets for each type of event, and what its answers to batches mean.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchVerdicts } from '../../../actors/destinations/batch.ts';
import type { EventObject } from '../../../actors/destinations/destination.ts';
import { goldenMetadata, problemOf, sentBy, transformer, typeNamed } from '../../support/destinations.ts';

const timestamp = '2026-03-01T11:59:00.000Z';
const always = { time: Date.parse(timestamp), insert_id: goldenMetadata.messageId, library: 'sluice' };

function sentFor(event: EventObject, config: Record<string, unknown> = {}): Record<string, unknown> {
  const sent = sentBy(transformer('AM', { apiKey: 'key', ...config })({ timestamp, ...event }));
  const { events } = sent.body as { events: Record<string, unknown>[] };
  return events[0] ?? {};
}

test('a track becomes an event with properties, context and revenue', () => {
  const event = {
    type: 'track',
    event: 'Paid',
    userId: 'u1',
    anonymousId: 'a1',
    properties: { revenue: '20', price: 10, quantity: 2, product_id: 'p1', color: 'red' },
    context: {
      traits: { plan: 'pro' },
      ip: '1.2.3.4',
      app: { version: '1.0' },
      os: { name: 'iOS' },
      device: { id: 'dev' },
      sessionId: 1772366340,
    },
    timestamp,
  };
  const { request, body } = sentBy(transformer('AM', { apiKey: 'key' })(event));
  assert.equal(request.endpoint, 'https://api2.amplitude.com/2/httpapi');
  assert.deepEqual(body, {
    api_key: 'key',
    options: { min_id_length: 1 },
    events: [
      {
        ...always,
        app_version: '1.0',
        os_name: 'iOS',
        ip: '1.2.3.4',
        session_id: 1772366340000,
        user_id: 'u1',
        device_id: 'dev',
        event_type: 'Paid',
        event_properties: event.properties,
        user_properties: { plan: 'pro' },
        revenue: 20,
        price: 10,
        quantity: 2,
        productId: 'p1',
      },
    ],
  });
});

test('an identify sets user properties, each by the operation its trait has', () => {
  const traits = { plan: 'pro', logins: 1, first: 'x', tags: ['a'] };
  assert.deepEqual(sentFor({ type: 'identify', anonymousId: 'a1', traits }), {
    ...always,
    device_id: 'a1',
    event_type: '$identify',
    user_properties: { $set: traits },
  });
  const config = {
    traitsToIncrement: [{ traits: 'logins' }],
    traitsToSetOnce: [{ traits: 'first' }],
    traitsToAppend: [{ traits: 'tags' }],
  };
  assert.deepEqual(sentFor({ type: 'identify', userId: 'u', traits }, config).user_properties, {
    $set: { plan: 'pro' },
    $add: { logins: 1 },
    $setOnce: { first: 'x' },
    $append: { tags: ['a'] },
  });
});

test('a group sets the properties of the group', () => {
  const traits = { kind: 'org', title: 'Acme', seats: 3 };
  const group = { type: 'group', userId: 'u', groupId: 'g1', traits };
  assert.deepEqual(sentFor(group), {
    ...always,
    user_id: 'u',
    event_type: '$groupidentify',
    groups: { group: 'g1' },
    group_properties: { $set: traits },
  });
  assert.deepEqual(sentFor(group, { groupTypeTrait: 'kind', groupValueTrait: 'title' }).groups, { org: 'Acme' });
  assert.deepEqual(transformer('AM', { apiKey: 'key', groupTypeTrait: 'sort' })(group), {
    kind: 'aborted',
    code: 400,
    reason: 'the trait sort is missing (groupTypeTrait)',
  });
});

test('pages and screens have names made of theirs, and may be left out', () => {
  const page = { type: 'page', userId: 'u', name: 'Home', category: 'Docs', properties: { a: 1 } };
  assert.equal(sentFor(page).event_type, 'Viewed Docs Home Page');
  assert.equal(sentFor({ type: 'screen', userId: 'u' }).event_type, 'Loaded a Screen');
  const named = transformer('AM', { apiKey: 'key', trackNamedPages: true });
  assert.equal(named(page).kind, 'deliver');
  assert.equal(named({ type: 'page', userId: 'u' }).kind, 'filtered');
});

test('an alias maps one user to another, as a form', () => {
  const alias = { type: 'alias', userId: 'new', previousId: 'old' };
  const { request, text } = sentBy(transformer('AM', { apiKey: 'key', residencyServer: 'EU' })(alias));
  assert.deepEqual([request.endpoint, request.format], ['https://api.eu.amplitude.com/usermap', 'FORM']);
  assert.deepEqual(Object.fromEntries(new URLSearchParams(text)), {
    api_key: 'key',
    mapping: '[{"user_id":"old","global_user_id":"new"}]',
  });
  assert.equal(transformer('AM', { apiKey: 'key' })({ type: 'alias', userId: 'u' }).kind, 'aborted');
});

test('a 400 ends the events it names, the others go again', () => {
  const { batch } = typeNamed('AM');
  assert.ok(batch);
  const answer = {
    code: 400,
    events_with_invalid_fields: { time: [0] },
    events_with_missing_fields: { event_type: [2] },
    silenced_events: [3],
  };
  assert.deepEqual(batchVerdicts(batch, 400, JSON.stringify(answer), 4), [
    { kind: 'ended', code: 400, reason: 'events_with_invalid_fields: time' },
    { kind: 'again' },
    { kind: 'ended', code: 400, reason: 'events_with_missing_fields: event_type' },
    { kind: 'ended', code: 400, reason: 'silenced_events' },
  ]);
  assert.deepEqual(batchVerdicts(batch, 400, '{"error":"Invalid API key"}', 2), [{ kind: 'alone' }, { kind: 'alone' }]);
  assert.deepEqual(batchVerdicts(batch, 413, '', 2), [{ kind: 'alone' }, { kind: 'alone' }]);
});

test('what Amplitude cannot take is aborted with the field, bad settings with the key', () => {
  const transform = transformer('AM', { apiKey: 'key' });
  assert.deepEqual(transform({ type: 'track', event: 'x' }), {
    kind: 'aborted',
    code: 400,
    reason: 'userId and anonymousId are missing',
  });
  assert.equal(transform({ type: 'track', userId: 'u' }).kind, 'aborted');
  assert.equal(problemOf('AM', {}), 'apiKey is missing');
  assert.equal(
    problemOf('AM', { apiKey: 'k', residencyServer: 'Mars' }),
    'expected residencyServer to be one of standard, EU, got "Mars"',
  );
});
