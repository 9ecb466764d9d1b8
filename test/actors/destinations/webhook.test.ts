// The WEBHOOK destination: settings and event to request descriptor.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeRequest, type EventObject, type TransformResult } from '../../../actors/destinations/destination.ts';
import { compileDestination, destinationTypeLabel } from '../../../actors/destinations/registry.ts';
import type { RequestDescriptor } from '../../../actors/job.ts';
import { makeDestination } from '../../support/workspace-objects.ts';

const metadata = { sourceId: 's', destinationId: 'd', messageId: 'm-1', receivedAtMs: 0 };
const track: EventObject = {
  type: 'track',
  event: 'Paid',
  properties: { shop: 'north', cart: { total: 5, items: ['a'] } },
};

function transform(config: Record<string, unknown>, event: EventObject = track): TransformResult {
  return compileDestination(makeDestination('d', { config })).transform(event, metadata);
}

function requestOf(result: TransformResult): RequestDescriptor {
  assert.equal(result.kind, 'deliver');
  return completeRequest(JSON.parse(result.kind === 'deliver' ? result.request : ''));
}

function bodyOf(result: TransformResult): unknown {
  if (result.kind !== 'deliver' || result.body === 'event') return 'event';
  return JSON.parse(Buffer.from(result.body).toString());
}

test('the event itself is the body of a POST by default', () => {
  const result = transform({ webhookUrl: ' https://example.com/hook?a=1 ' });
  assert.deepEqual(requestOf(result), {
    method: 'POST',
    endpoint: 'https://example.com/hook?a=1',
    headers: {},
    params: {},
    format: 'JSON',
  });
  assert.equal(bodyOf(result), 'event');
});

test('every method of the settings is used, in any case', () => {
  for (const webhookMethod of ['PUT', 'patch', 'Delete', 'POST']) {
    const result = transform({ webhookUrl: 'http://h/', webhookMethod });
    assert.equal(requestOf(result).method, webhookMethod.toUpperCase());
    assert.equal(bodyOf(result), 'event');
  }
});

test('headers of the settings are sent, half-filled rows of the form are not', () => {
  const headers = [
    { from: ' X-Key ', to: 'abc' },
    { from: '', to: 'x' },
    { from: 'x' },
    'no',
    null,
    { from: 'X-Empty', to: '' },
  ];
  const request = requestOf(transform({ webhookUrl: 'http://h/', headers }));
  assert.deepEqual(request.headers, { 'X-Key': 'abc', 'X-Empty': '' });
});

test('GET has no body and carries the properties as parameters, the traits for an identify', () => {
  const settings = { webhookUrl: 'http://h/', webhookMethod: 'GET' };
  const request = requestOf(transform(settings));
  assert.equal(request.format, 'NONE');
  assert.deepEqual(request.params, { shop: 'north', 'cart.total': 5, 'cart.items[0]': 'a' });
  const identify = { type: 'identify', context: { traits: { plan: 'pro' } }, properties: { no: 1 } };
  assert.deepEqual(requestOf(transform(settings, identify)).params, { plan: 'pro' });
});

test('settings that cannot work abort with the reason', () => {
  const table: [Record<string, unknown>, string][] = [
    [{}, 'webhookUrl is missing'],
    [{ webhookUrl: '' }, 'webhookUrl is missing'],
    [{ webhookUrl: 7 }, 'webhookUrl is missing'],
    [{ webhookUrl: 'example.com/hook' }, 'webhookUrl is not an http or https URL'],
    [{ webhookUrl: 'ftp://example.com' }, 'webhookUrl is not an http or https URL'],
    [{ webhookUrl: 'file:///etc/passwd' }, 'webhookUrl is not an http or https URL'],
    [{ webhookUrl: 'http://h/', headers: [{ from: 'a b', to: 'x' }] }, 'headers: the header name "a b" is not legal'],
    [
      { webhookUrl: 'http://h/', headers: [{ from: 'a', to: 'x\ny' }] },
      'headers: the value of the header a is not legal',
    ],
    [{ webhookUrl: 'http://h/', webhookMethod: 'TRACE' }, 'webhookMethod is not one of POST, PUT, PATCH, GET, DELETE'],
  ];
  for (const [config, reason] of table) assert.deepEqual(transform(config), { kind: 'aborted', code: 400, reason });
});

test('a template takes its value out of the event, without changing the event of the others', () => {
  const headers = [{ from: 'x-shop', to: '{{ event.properties.shop || "main" }}' }];
  const before = structuredClone(track);
  const result = transform({ webhookUrl: 'http://h/', headers });
  assert.deepEqual(requestOf(result).headers, { 'x-shop': 'north' });
  assert.deepEqual(bodyOf(result), { ...track, properties: { cart: { total: 5, items: ['a'] } } });
  assert.deepEqual(track, before);
});

test('a template without a value uses its default and leaves the event alone', () => {
  for (const shop of [undefined, null, '']) {
    const headers = [{ from: 'x-shop', to: "{{ message.properties.shop || 'main' }}" }];
    const result = transform({ webhookUrl: 'http://h/', headers }, { type: 'track', properties: { shop } });
    assert.deepEqual(requestOf(result).headers, { 'x-shop': 'main' });
    assert.equal(bodyOf(result), 'event');
  }
});

test('templates reach the metadata, never inherited properties', () => {
  const headers = [
    { from: 'x-id', to: '{{ metadata.messageId || none }}' },
    { from: 'x-proto', to: '{{ event.constructor.name || none }}' },
  ];
  const result = transform({ webhookUrl: 'http://h/', headers });
  assert.deepEqual(requestOf(result).headers, { 'x-id': 'm-1', 'x-proto': 'none' });
});

test('an address from the event is checked for every event', () => {
  const settings = { webhookUrl: '{{ event.hook || http://fallback/ }}' };
  assert.equal(requestOf(transform(settings, { hook: 'https://a.example/' })).endpoint, 'https://a.example/');
  assert.equal(requestOf(transform(settings, {})).endpoint, 'http://fallback/');
  assert.equal(transform(settings, { hook: 'nonsense' }).kind, 'aborted');
});

test('a type nobody wrote aborts its events with its name', () => {
  const definition = { id: 'dd', name: 'Braze', displayName: 'Braze', config: {} };
  const destination = makeDestination('d', { destinationDefinition: definition });
  assert.deepEqual(compileDestination(destination).transform(track, metadata), {
    kind: 'aborted',
    code: 404,
    reason: 'destination type Braze is not known',
  });
  assert.equal(destinationTypeLabel(destination), 'unknown');
});
