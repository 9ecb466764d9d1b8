// MP: what Mixpanel's import and profile APIs get, and what the import's answers mean.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchVerdicts } from '../../../actors/destinations/batch.ts';
import type { EventObject } from '../../../actors/destinations/destination.ts';
import { goldenMetadata, problemOf, sentBy, transformer, typeNamed } from '../../support/destinations.ts';

const timestamp = '2026-03-01T11:59:00.000Z';
const own = { token: 'tok', time: Date.parse(timestamp), $insert_id: goldenMetadata.messageId, mp_lib: 'sluice' };

function sentFor(event: EventObject, config: Record<string, unknown> = {}) {
  return sentBy(transformer('MP', { token: 'tok', ...config })({ timestamp, ...event }));
}

test('a track is imported with both ids, so that Mixpanel merges them', () => {
  const event = {
    type: 'track',
    event: 'Paid',
    userId: 'u1',
    anonymousId: 'a1',
    properties: { total: 1 },
    context: { ip: '1.2.3.4', campaign: { source: 'ads' } },
  };
  const { request, body } = sentFor(event, { dataResidency: 'eu' });
  assert.equal(request.endpoint, 'https://api-eu.mixpanel.com/import');
  assert.deepEqual(request.params, { strict: 1 });
  assert.equal(request.headers.Authorization, `Basic ${Buffer.from('tok:').toString('base64')}`);
  const properties = { ip: '1.2.3.4', utm_source: 'ads', total: 1, ...own };
  const ids = { distinct_id: 'u1', $user_id: 'u1', $device_id: 'a1' };
  assert.deepEqual(body, [{ event: 'Paid', properties: { ...properties, ...ids } }]);
  const visitor = sentFor({ ...event, userId: undefined }).body as { properties: Record<string, unknown> }[];
  assert.equal(visitor[0]?.properties.distinct_id, '$device:a1');
  const original = sentFor(event, { identityMergeApi: 'original' }).body as { properties: Record<string, unknown> }[];
  assert.deepEqual(original[0]?.properties, { ...properties, distinct_id: 'u1' });
});

test('a service account signs in with its project', () => {
  const account = { serviceAccountUserName: 'sa', serviceAccountSecret: 's', projectId: '7' };
  const { request } = sentFor({ type: 'track', event: 'x', userId: 'u' }, account);
  assert.deepEqual(request.params, { strict: 1, project_id: '7' });
  assert.equal(request.headers.Authorization, `Basic ${Buffer.from('sa:s').toString('base64')}`);
  assert.equal(problemOf('MP', { token: 't', serviceAccountUserName: 'sa' }), 'serviceAccountSecret is missing');
  assert.equal(problemOf('MP', {}), 'token is missing');
});

test('an identify sets the profile, some traits only once', () => {
  const event = { type: 'identify', userId: 'u1', traits: { email: 'a@b.c', plan: 'pro' }, context: { ip: '1.2.3.4' } };
  const about = { $token: 'tok', $distinct_id: 'u1', $ip: '1.2.3.4' };
  const { request, body } = sentFor(event);
  assert.equal(request.endpoint, 'https://api.mixpanel.com/engage');
  assert.deepEqual(body, [{ ...about, $set: { $email: 'a@b.c', plan: 'pro' } }]);
  assert.deepEqual(sentFor(event, { setOnceProperties: [{ property: 'email' }] }).body, [
    { ...about, $set: { plan: 'pro' } },
    { ...about, $set_once: { $email: 'a@b.c' } },
  ]);
});

test('groups, pages and aliases go where Mixpanel wants them', () => {
  const group = { type: 'group', userId: 'u', groupId: 'g1', traits: { seats: 3 } };
  const sent = sentFor(group, { groupKeySettings: [{ groupKey: 'company' }] });
  assert.equal(sent.request.endpoint, 'https://api.mixpanel.com/groups');
  assert.deepEqual(sent.body, [{ $token: 'tok', $group_key: 'company', $group_id: 'g1', $set: { seats: 3 } }]);
  assert.equal(transformer('MP', { token: 'tok' })(group).kind, 'filtered');
  const page = sentFor({ type: 'page', userId: 'u', name: 'Home' }).body as { event: string }[];
  assert.equal(page[0]?.event, 'Viewed Home Page');
  const alias = { type: 'alias', userId: 'new', previousId: 'old' };
  assert.equal(transformer('MP', { token: 'tok' })(alias).kind, 'filtered');
  assert.deepEqual(sentFor(alias, { identityMergeApi: 'original' }).body, [
    { event: '$create_alias', properties: { distinct_id: 'old', alias: 'new', ...own } },
  ]);
});

test('message ids that Mixpanel would refuse become hashes, the same for every attempt', () => {
  const { transform } = typeNamed('MP').compile({
    ...{ id: 'd', name: 'd', enabled: true, workspaceId: 'w', revisionId: 'r' },
    ...{ isProcessorEnabled: true, isConnectionEnabled: true },
    config: { token: 'tok' },
    destinationDefinition: { id: 'x', name: 'MP', displayName: 'MP', config: {} },
  });
  const metadata = { ...goldenMetadata, messageId: 'node-next-1772366340000-0b7c5f2e-1111-4222-8333-944445555666' };
  const idOf = () => {
    const [sent] = sentBy(transform({ type: 'track', event: 'x', userId: 'u' }, metadata)).body as {
      properties: { $insert_id: string };
    }[];
    return sent?.properties.$insert_id ?? '';
  };
  assert.match(idOf(), /^[0-9a-f]{36}$/);
  assert.equal(idOf(), idOf());
});

test('the import keeps what it does not name', () => {
  const { batch } = typeNamed('MP');
  assert.ok(batch);
  const answer = {
    code: 400,
    num_records_imported: 1,
    failed_records: [{ index: 1, field: 'properties.time', message: 'must be a number' }],
  };
  assert.deepEqual(batchVerdicts(batch, 400, JSON.stringify(answer), 2), [
    { kind: 'ended', code: 200 },
    { kind: 'ended', code: 400, reason: 'properties.time: must be a number' },
  ]);
  assert.deepEqual(batchVerdicts(batch, 401, '{}', 2), [{ kind: 'alone' }, { kind: 'alone' }]);
});
