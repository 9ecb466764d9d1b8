// Which addresses a customer's URL may lead to.

import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { test } from 'node:test';
import { createEgressGuard, type EgressGuard, egressRuleProblem, TransportError } from '../../transport/index.ts';

/** As the client asks it: with the host of a parsed URL. */
function isRefused(guard: EgressGuard, url: string): boolean {
  return guard.refuses(new URL(url).hostname) !== undefined;
}

const closed = [
  'http://127.0.0.1/',
  'http://127.1/',
  'http://2130706433/',
  'http://0x7f.0.0.1/',
  'http://0177.0.0.1/',
  'http://0/',
  'http://0x7f000001/',
  'http://017700000001/',
  'http://127.0.0.1./',
  'http://①②⑦.⓪.⓪.①/',
  'http://127。0。0。1/',
  'http://%31%32%37.0.0.1/',
  'http://10.1.2.3/',
  'http://100.64.0.1/',
  'http://169.254.169.254/latest/meta-data',
  'http://172.31.255.255/',
  'http://192.168.0.1/',
  'http://198.18.0.1/',
  'http://224.0.0.1/',
  'http://255.255.255.255/',
  'http://[::1]/',
  'http://[::]/',
  'http://[::ffff:127.0.0.1]/',
  'http://[::ffff:a00:1]/',
  'http://[::127.0.0.1]/',
  'http://[64:ff9b::a00:1]/',
  'http://[2002:a00:1::]/',
  'http://[fd00:ec2::254]/',
  'http://[fe80::1]/',
  'http://[ff02::1]/',
];

for (const url of closed) {
  test(`${url} is refused, and open once private networks are`, () => {
    assert.ok(isRefused(createEgressGuard({ allow: [] }), url));
    assert.ok(!isRefused(createEgressGuard({ allow: ['private'] }), url));
  });
}

for (const url of ['http://8.8.8.8/', 'http://172.32.0.1/', 'http://[2606:4700::1111]/', 'http://[::ffff:8.8.8.8]/']) {
  test(`${url} is public`, () => assert.ok(!isRefused(createEgressGuard({ allow: [] }), url)));
}

test('an allowed network opens itself only', () => {
  const guard = createEgressGuard({ allow: ['10.1.0.0/16', '192.168.1.7', 'fd00:1::/32'] });
  for (const url of ['http://10.1.255.1/', 'http://192.168.1.7/', 'http://[fd00:1::5]/']) {
    assert.ok(!isRefused(guard, url), url);
  }
  for (const url of ['http://10.2.0.1/', 'http://192.168.1.8/', 'http://[fd00:2::5]/']) {
    assert.ok(isRefused(guard, url), url);
  }
});

function lookup(guard: EgressGuard, name: string, all: boolean): Promise<string | LookupAddress[]> {
  return new Promise((settle, reject) => {
    guard.lookup(name, { all }, (error, found) => (error === null ? settle(found) : reject(error)));
  });
}

test('a name that leads here is refused by its address, for one address and for all', async () => {
  const guard = createEgressGuard({ allow: [] });
  const denied = (error: unknown): boolean =>
    error instanceof TransportError && error.code === 'EGRESS_DENIED' && /localhost \((127\.|::1)/.test(error.message);
  await assert.rejects(lookup(guard, 'localhost', true), denied);
  await assert.rejects(lookup(guard, 'localhost', false), denied);
});

test('a name that changes its answer is judged by the addresses of each connection', async () => {
  const answers = [['8.8.8.8'], ['127.0.0.1'], ['10.0.0.1', '8.8.4.4'], []];
  const guard = createEgressGuard({ allow: [] }, (_hostname, _options, done) => {
    const addresses = answers.shift() ?? [];
    done(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );
  });
  const connect = (): Promise<string[] | string> =>
    new Promise((settle) => {
      guard.lookup('rebind.example', { all: true }, (error, found) => {
        const addresses = found as LookupAddress[];
        settle(error === null ? addresses.map(({ address }) => address) : String(error.code));
      });
    });
  assert.deepEqual(await connect(), ['8.8.8.8']);
  assert.equal(await connect(), 'EGRESS_DENIED');
  assert.deepEqual(await connect(), ['8.8.4.4'], 'of several only what may be reached');
  assert.equal(await connect(), 'EGRESS_DENIED', 'a name without an address leads nowhere');
});

test('an allowed name is resolved as it is, and no other', async () => {
  const guard = createEgressGuard({ allow: ['LocalHost'] });
  const all = await lookup(guard, 'localhost', true);
  assert.ok(Array.isArray(all) && all.length > 0);
  assert.match(String(await lookup(guard, 'localhost', false)), /^(127\.0\.0\.1|::1)$/);
  const byNetwork = await lookup(createEgressGuard({ allow: ['127.0.0.1'] }), 'localhost', false);
  assert.equal(byNetwork, '127.0.0.1');
});

test('rules that are none are told, and refused', () => {
  for (const entry of ['private', '10.0.0.0/8', '::1', 'fd00::/8', 'crm.internal', '.internal', 'localhost']) {
    assert.equal(egressRuleProblem(entry), undefined, entry);
  }
  for (const entry of ['', '10.0.0.0/33', '10.0.0/8', '::/129', 'http://x', 'a b', '300.1.1.1', '10.0.0.0/8/1', '-a']) {
    assert.match(egressRuleProblem(entry) ?? '', /got "/, entry);
    assert.throws(() => createEgressGuard({ allow: [entry] }), /expected/);
  }
});
