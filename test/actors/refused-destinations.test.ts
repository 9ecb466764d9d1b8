// Destinations that get nothing as they are configured: which, why, and until when.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RefusedDestinations } from '../../actors/refused-destinations.ts';
import { noTransformer } from '../../actors/transformer/contract.ts';
import { makeDestination, makeSource } from '../support/workspace-objects.ts';

const definition = { id: 'x', name: 'BRAZE', displayName: 'Braze', config: {} };
const destinations = [
  makeDestination('good'),
  makeDestination('bad-url', { config: { webhookUrl: 'no address' } }),
  makeDestination('none', { destinationDefinition: definition }),
  makeDestination('off', { destinationDefinition: definition, enabled: false }),
];

test('tells which enabled destinations can only abort, each once, and why', () => {
  const refused = new RefusedDestinations(noTransformer);
  const told = refused.replace([makeSource('s1', destinations), makeSource('s2', destinations)], 7);
  assert.equal(told.length, 2);
  assert.match(told[0] ?? '', /^every event for destination bad-url will be aborted: .*webhookUrl/);
  assert.match(
    told[1] ?? '',
    /^every event for destination none will be aborted: destination type BRAZE is not known; supported are WEBHOOK, /,
  );
  assert.deepEqual(
    refused.list().map(({ destinationId, state, sinceAtMs }) => [destinationId, state, sinceAtMs]),
    [
      ['bad-url', 'refused', 7],
      ['none', 'refused', 7],
    ],
  );
});

test('a destination stays refused until its source is changed or gone', () => {
  const refused = new RefusedDestinations(noTransformer);
  const bad = destinations.slice(1, 2);
  refused.replace([makeSource('s1', bad), makeSource('s2', bad)], 0);
  assert.deepEqual(
    refused.apply({ sources: [makeSource('s1', destinations.slice(0, 1))], removedSourceIds: [] }, 1),
    [],
  );
  assert.equal(refused.list().length, 1);
  refused.apply({ sources: [], removedSourceIds: ['s2'] }, 2);
  assert.deepEqual(refused.list(), []);
});

test('a transformer takes the types we have not', () => {
  const refused = new RefusedDestinations({ url: 'http://transformer', remoteTypes: [] });
  assert.deepEqual(refused.replace([makeSource('s1', destinations.slice(2, 3))], 0), []);
});
