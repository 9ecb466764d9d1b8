// The gateway against the rules of the field, row by row over real HTTP and on both engines. All rows of an engine share
// one connection, so that what a row leaves behind would show in the next.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pixelGif } from '../../actors/gateway/pixel.ts';
import { eventConformance } from '../support/conformance-events.ts';
import { routeConformance } from '../support/conformance-routes.ts';
import { bearer, type ConformanceRow, eventOf, nobody, token } from '../support/conformance-row.ts';
import { basicAuth, fixedNowText, setup } from '../support/gateway-fixture.ts';
import { httpEngines } from '../support/http-engines.ts';

const rows: readonly ConformanceRow[] = [...eventConformance, ...routeConformance];
const flags = { 'admin.token': token };
const gif = '4749463839610100010080000000000000000021f90401000000002c00000000010001000002024401003b';

for (const engine of httpEngines) {
  test(`the gateway on ${engine} conforms to every row`, async (t) => {
    const { send, storage } = await setup(t, engine, { flags });
    for (const { rule, what, method, path, parts, status, text, stored } of rows) {
      await t.test(`${rule}, ${method} ${path}: ${what}`, async () => {
        const before = storage.stored.length;
        const response = await send(path, { method, ...parts });
        assert.deepEqual([response.status, response.body], [status, text ?? response.body]);
        if (status >= 400) {
          assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8');
          assert.equal(response.headers['x-content-type-options'], 'nosniff');
        }
        const jobs = storage.stored.slice(before);
        if (typeof stored === 'number') assert.equal(jobs.length, stored, 'jobs stored');
        else stored(jobs);
      });
    }
  });

  test(`the gateway on ${engine} answers a pixel byte by byte, whatever becomes of it`, async (t) => {
    const { gateway, storage } = await setup(t, engine);
    const good = 'writeKey=key-1&anonymousId=%22a1%22&event=Seen&properties.total=3&__proto__=x';
    for (const path of [`track?${good}`, 'track?writeKey=key-1&userId=u', 'track?writeKey=%ZZ&&=', 'page']) {
      const response = await fetch(`http://127.0.0.1:${gateway.port}/pixel/v1/${path}`);
      assert.deepEqual([response.status, response.headers.get('content-type')], [200, 'image/gif']);
      assert.equal(Buffer.from(await response.arrayBuffer()).toString('hex'), gif);
    }
    assert.equal(Buffer.from(pixelGif).toString('hex'), gif);
    assert.equal(storage.stored.length, 1);
    const { rudderId: _, ...event } = eventOf(storage.stored[0]);
    assert.deepEqual(
      { ...event },
      {
        type: 'track',
        event: 'Seen',
        anonymousId: 'a1',
        properties: { total: '3' },
        ['__proto__']: 'x',
        channel: 'web',
        integrations: { All: true },
        originalTimestamp: fixedNowText,
        sentAt: fixedNowText,
        receivedAt: fixedNowText,
        request_ip: '127.0.0.1',
        messageId: '00000000-0000-4000-8000-000000000000',
      },
    );
  });

  test(`the gateway on ${engine} hands a webhook on with every header that gives nobody access`, async (t) => {
    const { send, webhookFailures } = await setup(t, engine, { flags });
    const headers = { Authorization: basicAuth('key-hook'), Cookie: 'session=1', 'X-Shop-Hmac': 'abc' };
    await send('/v1/webhook', { body: '{', headers });
    const { host, 'x-shop-hmac': hmac, authorization, cookie } = webhookFailures[0]?.request.headers ?? {};
    assert.deepEqual([host, hmac, authorization, cookie], ['gateway', 'abc', undefined, undefined]);
  });

  test(`the gateway on ${engine} has no internal path when there is no token`, async (t) => {
    const { answer, storage } = await setup(t, engine);
    const internal = rows.filter(({ path }) => path.startsWith('/internal/'));
    for (const { method, path, parts } of internal) {
      assert.deepEqual(await answer(path, { method, ...parts, ...bearer() }), [404, '404 page not found\n']);
      assert.deepEqual(await answer(path, { method, ...parts, ...nobody }), [404, '404 page not found\n']);
    }
    assert.equal(storage.stored.length, 0);
  });
}
