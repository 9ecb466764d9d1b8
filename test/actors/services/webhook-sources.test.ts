// Any JSON, form or query that reaches a generic webhook becomes track events; what is none of these is refused.

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import {
  builtInWebhookSources,
  type WebhookOutcome,
  type WebhookRequest,
} from '../../../actors/services/webhook-sources.ts';
import type { SourceConfig } from '../../../actors/services/workspace.ts';
import { makeSource } from '../../support/workspace-objects.ts';

const generic = webhookSource('webhook');
const shop = webhookSource('Shopify');

function webhookSource(name: string): SourceConfig {
  return { ...makeSource('src-1', []), sourceDefinition: { id: 'd', name, category: 'webhook', type: 'cloud' } };
}

function transform(request: Partial<WebhookRequest>, source = generic): Promise<WebhookOutcome> {
  const whole = {
    method: 'POST',
    path: '/v1/webhook',
    query: '',
    headers: {},
    remoteAddress: '::1',
    body: Buffer.alloc(0),
  };
  return new Promise((settle) => {
    builtInWebhookSources(() => 'visitor').transform(source, { ...whole, ...request }, settle);
  });
}

async function propertiesOf(request: Partial<WebhookRequest>): Promise<unknown> {
  const outcome = await transform(request);
  if (outcome.kind !== 'events') return outcome;
  const { batch } = JSON.parse(outcome.body.toString()) as { batch: { properties: unknown }[] };
  return batch.map(({ properties }) => properties);
}

test('a JSON webhook becomes one track event of an anonymous visitor', async () => {
  const outcome = await transform({ body: Buffer.from('{"order":1}') });
  equal(outcome.kind, 'events');
  const batch = outcome.kind === 'events' ? JSON.parse(outcome.body.toString()) : undefined;
  deepEqual(batch, {
    batch: [{ type: 'track', event: 'webhook_source_event', anonymousId: 'visitor', properties: { order: 1 } }],
  });
});

test('a list becomes one event for each element, and an empty one none', async () => {
  deepEqual(await propertiesOf({ body: Buffer.from('[{"a":1},2]') }), [{ a: 1 }, { value: 2 }]);
  deepEqual(await transform({ body: Buffer.from('[]') }), { kind: 'answered', reply: undefined });
});

test('what a webhook says stays as it is written', async () => {
  const table = '{ "id": 9223372036854775807, "e": 1e400, "z": -0, "f": 1.10, "s": "\\u0041 ]}" }';
  const outcome = await transform({ body: Buffer.from(` [ ${table} , 12345678901234567890, "x" ] `) });
  const text = outcome.kind === 'events' ? outcome.body.toString() : '';
  for (const part of [`"properties":${table}}`, '"properties":{"value":12345678901234567890}}', '{"value":"x"}']) {
    equal(text.includes(part), true, text);
  }
  equal(JSON.parse(text).batch.length, 3);
});

test('forms and queries become tables whose repeated names are lists', async () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  deepEqual(await propertiesOf({ body: Buffer.from('a=1&b=2&a=3'), headers: form }), [{ a: ['1', '3'], b: '2' }]);
  deepEqual(await propertiesOf({ method: 'GET', query: 'a=%C3%A4' }), [{ a: 'ä' }]);
  const parts = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n';
  const multipart = { 'content-type': 'multipart/form-data; boundary=x' };
  deepEqual(await propertiesOf({ body: Buffer.from(parts), headers: multipart }), [{ a: '1' }]);
});

test('what is no JSON, no form or nothing at all is refused', async () => {
  deepEqual(await transform({ body: Buffer.from('{') }), { kind: 'refused', status: 400, text: 'invalid json' });
  deepEqual(await transform({}), { kind: 'refused', status: 400, text: 'request body is nil' });
  const broken = { body: Buffer.from('--y'), headers: { 'content-type': 'multipart/form-data; boundary=x' } };
  equal((await transform(broken)).kind, 'refused');
});

test('sources of other services wait for a transformer', async () => {
  const outcome = await transform({ body: Buffer.from('{}') }, shop);
  deepEqual(outcome, { kind: 'refused', status: 503, text: 'service unavailable' });
});
