// Whom the gateway believes about the client's address.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientAddresses, parseProxies } from '../../../actors/gateway/client-address.ts';

const addressOf = (proxies: string, remoteAddress: string, forwarded: string) =>
  new ClientAddresses(proxies).of({ remoteAddress, header: () => forwarded });

test('believes X-Forwarded-For from right to left, as far as proxies of ours wrote it', () => {
  const ours = '10.0.0.0/8,fd00::/8';
  const cases: [peer: string, forwarded: string, expected: string][] = [
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', '1.2.3.4', '1.2.3.4'],
    ['10.0.0.1', '9.9.9.9, 1.2.3.4', '1.2.3.4'],
    ['10.0.0.1', '9.9.9.9,1.2.3.4,10.0.0.7', '1.2.3.4'],
    ['fd00::1', '[2001:db8::1]:443', '2001:db8::1'],
    ['10.0.0.1', '1.2.3.4:5678', '1.2.3.4'],
    ['10.0.0.1', '10.0.0.2', '10.0.0.2'],
    ['10.0.0.1', 'unknown', 'unknown'],
    ['10.0.0.1', ' , ', '10.0.0.1'],
    ['8.8.8.8', '1.2.3.4', '8.8.8.8'],
  ];
  for (const [peer, forwarded, expected] of cases) assert.equal(addressOf(ours, peer, forwarded), expected, forwarded);
  assert.equal(addressOf('', '10.0.0.1', '1.2.3.4'), '10.0.0.1');
});

test('remembers the last answer for its own peer and header only', () => {
  const addresses = new ClientAddresses('10.0.0.0/8');
  const of = (remoteAddress: string, forwarded: string) => addresses.of({ remoteAddress, header: () => forwarded });
  assert.equal(of('10.0.0.1', '1.1.1.1'), '1.1.1.1');
  assert.equal(of('9.9.9.9', '1.1.1.1'), '9.9.9.9');
  assert.equal(of('10.0.0.1', '2.2.2.2'), '2.2.2.2');
});

test('refuses lists that are none', () => {
  for (const text of ['10.0.0.0/33', '10.0.0', 'fd00::/129', '10.0.0.0/', '10.0.0.0/a']) {
    assert.equal(parseProxies(text), undefined, text);
  }
  assert.ok(parseProxies(' 10.0.0.0/8 , ::1,') !== undefined);
});
