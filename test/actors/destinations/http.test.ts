// HTTP: requests put together from constants and parts of the event.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPlace, parsePath, readPath, writePath } from '../../../actors/destinations/json-path.ts';
import { xmlOf } from '../../../actors/destinations/xml.ts';
import { problemOf, sentBy, transformer } from '../../support/destinations.ts';

const event = {
  type: 'track',
  event: 'Order Paid',
  userId: 'u/1 ä',
  properties: { currency: 'EUR', total: 12.5, products: [{ sku: 'a' }, { sku: 'b' }, {}] },
};
const apiUrl = 'https://api.example.com/v1/?tenant=7';
const mapping = [
  { to: '$.event', from: '$.event' },
  { to: "$.order['the currency']", from: '$.properties.currency' },
  { to: '$.order.skus', from: '$.properties.products[*].sku' },
  { to: '$.first', from: '$.properties.products[0].sku' },
  { to: '$.source', from: 'shop' },
  { to: '$.none', from: '$.properties.missing' },
];

test('the whole event is posted while nothing else is said', () => {
  const sent = sentBy(transformer('HTTP', { apiUrl })(event));
  assert.deepEqual(sent.request, { method: 'POST', endpoint: apiUrl, headers: {}, params: {}, format: 'JSON' });
  assert.equal(sent.body, 'event');
});

test('path, query, headers and body are constants and parts of the event', () => {
  const { request, body } = sentBy(
    transformer('HTTP', {
      apiUrl,
      method: 'put',
      pathParams: [{ path: 'users' }, { path: '$.userId' }],
      queryParams: [
        { to: 'name', from: '$.event' },
        { to: 'none', from: '$.missing' },
        { to: 'v', from: '2' },
      ],
      headers: [
        { to: 'x-currency', from: '$.properties.currency' },
        { to: '$.x-constant', from: '"yes"' },
      ],
      propertiesMapping: mapping,
    })(event),
  );
  assert.deepEqual(request, {
    method: 'PUT',
    endpoint: 'https://api.example.com/v1/users/u%2F1%20%C3%A4?tenant=7',
    headers: { 'x-currency': 'EUR', 'x-constant': 'yes' },
    params: { name: 'Order Paid', v: '2' },
    format: 'JSON',
  });
  assert.deepEqual(body, {
    event: 'Order Paid',
    order: { 'the currency': 'EUR', skus: ['a', 'b'] },
    first: 'a',
    source: 'shop',
  });
});

test('every way to say who we are has its header', () => {
  const headersFor = (config: Record<string, unknown>) =>
    sentBy(transformer('HTTP', { apiUrl, ...config })(event)).request.headers;
  assert.deepEqual(headersFor({ auth: 'basicAuth', username: 'u', password: 'p' }), { Authorization: 'Basic dTpw' });
  assert.deepEqual(headersFor({ auth: 'bearerTokenAuth', bearerToken: 't' }), { Authorization: 'Bearer t' });
  assert.deepEqual(headersFor({ auth: 'apiKeyAuth', apiKeyName: 'x-key', apiKeyValue: 'k' }), { 'x-key': 'k' });
});

test('bodies may be a form or XML, and GET has none', () => {
  const simple = [
    { to: "$['a b']", from: '$.event' },
    { to: '$.o', from: '$.properties.products[0]' },
  ];
  const form = sentBy(transformer('HTTP', { apiUrl, format: 'FORM', propertiesMapping: simple })(event));
  assert.equal(form.request.format, 'FORM');
  assert.equal(form.text, 'a+b=Order+Paid&o=%7B%22sku%22%3A%22a%22%7D');
  const xml = sentBy(
    transformer('HTTP', { apiUrl, format: 'XML', xmlRootKey: 'order', propertiesMapping: simple })(event),
  );
  assert.equal(
    xml.text,
    '<?xml version="1.0" encoding="UTF-8"?><order><a_b>Order Paid</a_b><o><sku>a</sku></o></order>',
  );
  const get = sentBy(transformer('HTTP', { apiUrl, method: 'GET', propertiesMapping: simple })(event));
  assert.deepEqual([get.request.format, get.text], ['NONE', '']);
});

test('with batching the body is a list that others may join', () => {
  const config = { apiUrl, isBatchingEnabled: true, maxBatchSize: 10, propertiesMapping: mapping.slice(0, 1) };
  const sent = sentBy(transformer('HTTP', config)(event));
  assert.deepEqual(sent.body, [{ event: 'Order Paid' }]);
  assert.deepEqual(sent.request.batch, { open: 1, close: 1, eventsMax: 10 });
});

test('bad settings name the key, events that lack a part of the address name it', () => {
  const table: [Record<string, unknown>, RegExp][] = [
    [{}, /^apiUrl is missing$/],
    [{ apiUrl, method: 'TRACE' }, /^expected method to be one of/],
    [{ apiUrl, auth: 'basicAuth' }, /^username is missing$/],
    [{ apiUrl, auth: 'bearerTokenAuth' }, /^bearerToken is missing$/],
    [{ apiUrl, auth: 'apiKeyAuth' }, /^apiKeyName is missing$/],
    [
      { apiUrl, auth: 'apiKeyAuth', apiKeyName: 'a b', apiKeyValue: 'k' },
      /^apiKeyName, apiKeyValue or bearerToken: the header name/,
    ],
    [{ apiUrl, propertiesMapping: [{ to: 'a', from: 'b' }] }, /^propertiesMapping: expected "a" to be a JSONPath/],
    [{ apiUrl, isBatchingEnabled: true, format: 'XML' }, /^isBatchingEnabled needs/],
    [{ apiUrl, maxBatchSize: '1000' }, /^expected maxBatchSize to be a number from 1 to 100/],
  ];
  for (const [config, problem] of table) assert.match(problemOf('HTTP', config) ?? '', problem);
  const transform = transformer('HTTP', { apiUrl, pathParams: [{ path: '$.userId' }] });
  for (const userId of [undefined, '', '..', '.'])
    assert.deepEqual(transform({ type: 'track', userId }), {
      kind: 'aborted',
      code: 400,
      reason: 'pathParams: there is no $.userId in the event',
    });
});

test('paths name things and compute nothing', () => {
  for (const bad of ['$..a', '$.a[?(@.b)]', '$.a[1:2]', '$a', '$.', "$['a]"])
    assert.equal(parsePath(bad), undefined, bad);
  const inherited = parsePath('$.constructor.name') ?? [];
  assert.equal(readPath({}, inherited), undefined);
  const target: Record<string, unknown> = {};
  const place = parsePath('$.__proto__.polluted') ?? [];
  assert.ok(isPlace(place));
  writePath(target, place, true);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.equal(JSON.stringify(target), '{"__proto__":{"polluted":true}}');
  assert.ok(!isPlace(parsePath('$.a[*]') ?? []));
});

test('XML is well-formed, whatever the value holds', () => {
  const body = xmlOf({ '1 a': '<&>\u0000', list: [1, [2]], n: null, '': { x: true } }, 'my root');
  assert.equal(
    body,
    '<?xml version="1.0" encoding="UTF-8"?><my_root><_1_a>&lt;&amp;&gt;</_1_a><list>1</list><list>2</list><n></n><_><x>true</x></_></my_root>',
  );
});
