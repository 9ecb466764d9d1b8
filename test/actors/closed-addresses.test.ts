// Destinations that are configured to lead where deliveries may not go are told before the first event fails.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closedAddressProblems } from '../../actors/closed-addresses.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

test('addresses in closed networks are told by destination and key, unless they are allowed', () => {
  const to = (id: string, webhookUrl: string, enabled = true) =>
    makeDestination(id, { enabled, config: { webhookUrl, note: 'http:// is no URL', count: 7 } });
  const sources = [
    makeSource('a', [to('private', 'http://10.0.0.7/hook'), to('public', 'https://8.8.8.8/')]),
    makeSource('b', [
      to('loopback', 'http://127.1:9/'),
      to('name', 'http://localhost/'),
      to('off', 'http://10.1/', false),
    ]),
  ];
  assert.deepEqual(closedAddressProblems(sources, ['127.0.0.0/8']), [
    'nothing can be delivered to destination private (webhookUrl): 10.0.0.7 is in a network that deliveries may not reach (egress.allow)',
  ]);
  assert.equal(closedAddressProblems(sources, []).length, 2);
  assert.deepEqual(closedAddressProblems(sources, ['private']), []);
});
