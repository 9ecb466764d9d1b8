// GA4: what the Measurement Protocol gets, and what it would drop without a word.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventObject } from '../../../actors/destinations/destination.ts';
import { problemOf, sentBy, transformer } from '../../support/destinations.ts';

const config = { apiSecret: 'secret', measurementId: 'G-1' };
const timestamp = '2026-03-01T11:59:00.000Z';
const transform = transformer('GA4', config);

interface Body {
  client_id?: string;
  user_properties?: Record<string, unknown>;
  events: { name: string; params: Record<string, unknown> }[];
}

function measured(event: EventObject): { name: string; params: Record<string, unknown> } {
  const body = sentBy(transform({ anonymousId: 'a1', timestamp, ...event })).body as Body;
  return body.events[0] ?? { name: '', params: {} };
}

test('an event has a name and parameters as GA4 takes them', () => {
  const { request, body } = sentBy(
    transform({
      type: 'track',
      event: 'Newsletter Signed-Up!',
      userId: 'u1',
      anonymousId: 'a1',
      properties: { plan: 'pro', 'is ok': true, nested: { a: 1 }, ga_x: 1, 1: 2, long: 'x'.repeat(200), n: 3 },
      context: { traits: { plan: 'pro', email: 'a@b.c' }, sessionId: 17, page: { url: 'https://shop/' } },
      timestamp,
    }),
  );
  assert.equal(request.endpoint, 'https://www.google-analytics.com/mp/collect');
  assert.deepEqual(request.params, { api_secret: 'secret', measurement_id: 'G-1' });
  assert.deepEqual(body, {
    client_id: 'a1',
    user_id: 'u1',
    timestamp_micros: Date.parse(timestamp) * 1000,
    user_properties: { plan: { value: 'pro' }, email: { value: 'a@b.c' } },
    events: [
      {
        name: 'newsletter_signed_up',
        params: {
          page_location: 'https://shop/',
          plan: 'pro',
          is_ok: 'true',
          long: 'x'.repeat(100),
          n: 3,
          session_id: '17',
          engagement_time_msec: 1,
        },
      },
    ],
  });
});

test('an event never has more parameters than GA4 counts, and pages may have long addresses', () => {
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`p${index}`, index]));
  const { params } = measured({ type: 'track', event: 'x', properties: many, context: { sessionId: 1 } });
  assert.ok(Object.keys(params).length <= 25 && params.session_id === '1' && params.p0 === 0);
  const url = `https://shop/${'x'.repeat(2000)}`;
  const page = measured({ type: 'page', properties: { url, other: url } });
  assert.deepEqual([page.params.page_location, page.params.other], [url.slice(0, 1000), url.slice(0, 100)]);
});

test('apps have their own ids, and traits may be kept back', () => {
  const app = transformer('GA4', {
    apiSecret: 's',
    typesOfClient: 'firebase',
    firebaseAppId: 'app',
    sendUserId: false,
    debugMode: true,
    piiPropertiesToIgnore: [{ piiProperty: 'email' }],
  });
  const event = { type: 'screen', name: 'Cart', userId: 'u1', timestamp };
  assert.equal(app(event).kind, 'aborted');
  const context = { appInstanceId: 'i1', traits: { email: 'a@b.c', plan: 'pro' } };
  const { request, body } = sentBy(app({ ...event, context }));
  assert.deepEqual(request.params, { api_secret: 's', firebase_app_id: 'app' });
  assert.deepEqual(body, {
    app_instance_id: 'i1',
    timestamp_micros: Date.parse(timestamp) * 1000,
    user_properties: { plan: { value: 'pro' } },
    events: [{ name: 'screen_view', params: { screen_name: 'Cart', engagement_time_msec: 1, debug_mode: 1 } }],
  });
});

test('events of shops get their recommended names and items', () => {
  const product = { product_id: 'p1', name: 'Shirt', price: '10', quantity: 2, brand: 'B', category: 'C', position: 1 };
  const item = {
    item_id: 'p1',
    item_name: 'Shirt',
    item_brand: 'B',
    item_category: 'C',
    index: 1,
    price: 10,
    quantity: 2,
  };
  assert.deepEqual(measured({ type: 'track', event: 'Product Added', properties: { ...product, currency: 'EUR' } }), {
    name: 'add_to_cart',
    params: { currency: 'EUR', value: 20, items: [item], engagement_time_msec: 1 },
  });
  const order = { order_id: 'o1', total: 21, tax: 1, currency: 'EUR', products: [product, 'no'] };
  assert.deepEqual(measured({ type: 'track', event: 'order completed', properties: order }), {
    name: 'purchase',
    params: {
      transaction_id: 'o1',
      total: 21,
      tax: 1,
      currency: 'EUR',
      value: 21,
      items: [item],
      engagement_time_msec: 1,
    },
  });
  assert.deepEqual(measured({ type: 'track', event: 'Products Searched', properties: { query: 'shirt' } }), {
    name: 'search',
    params: { search_term: 'shirt', engagement_time_msec: 1 },
  });
});

test('pages and groups have the names of GA4', () => {
  const page = measured({ type: 'page', properties: { url: 'https://shop/', title: 'Shop' } });
  assert.equal(page.name, 'page_view');
  assert.equal(page.params.page_location, 'https://shop/');
  assert.equal(page.params.page_title, 'Shop');
  assert.deepEqual(measured({ type: 'group', groupId: 'g1' }), {
    name: 'join_group',
    params: { group_id: 'g1', engagement_time_msec: 1 },
  });
});

test('what GA4 would drop is aborted, and says why', () => {
  for (const [event, reason] of [
    [{ type: 'track', event: 'x', timestamp }, 'anonymousId is missing'],
    [{ type: 'track', anonymousId: 'a', timestamp }, 'event is missing'],
    [
      { type: 'track', anonymousId: 'a', event: 'session start', timestamp },
      'the event name session_start is reserved by GA4',
    ],
    [
      { type: 'track', anonymousId: 'a', event: '99 Luftballons', timestamp },
      'GA4 needs event names that begin with a letter',
    ],
    [
      { type: 'track', anonymousId: 'a', event: 'x'.repeat(41), timestamp },
      'expected an event name of at most 40 characters for GA4',
    ],
    [
      { type: 'track', anonymousId: 'a', event: 'x', timestamp: '2026-02-20T00:00:00Z' },
      'GA4 takes no events from more than 72 hours ago',
    ],
  ] as const)
    assert.deepEqual(transform(event), { kind: 'aborted', code: 400, reason });
  assert.equal(transform({ type: 'identify', userId: 'u' }).kind, 'filtered');
  assert.equal(problemOf('GA4', { apiSecret: 's' }), 'measurementId is missing');
  assert.equal(problemOf('GA4', { apiSecret: 's', typesOfClient: 'firebase' }), 'firebaseAppId is missing');
});
