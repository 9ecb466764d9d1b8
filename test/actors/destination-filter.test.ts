// Which destinations an event goes to, by the tables of the field.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilter, isIntegrated, supportedTypes } from '../../actors/processor/destination-filter.ts';
import type { DestinationConfig } from '../../actors/services/workspace.ts';
import { filterEvent, makeDestination } from '../support/workspace-objects.ts';

test('the integrations object decides as in the field', () => {
  const table: [unknown, boolean][] = [
    [undefined, true],
    [null, true],
    [{}, true],
    [{ All: true }, true],
    [{ All: false }, false],
    [{ All: false, Webhook: true }, true],
    [{ All: true, Webhook: false }, false],
    [{ Webhook: false }, false],
    [{ Webhook: true }, true],
    [{ All: false, Webhook: { option: 1 } }, true],
    [{ All: false, Webhook: 'yes' }, false],
    [{ All: true, Webhook: 'yes' }, true],
    [{ All: true, Webhook: null }, true],
    [{ All: false, WEBHOOK: true }, false],
    [{ All: 'true' }, false],
    [{ All: 1, Webhook: true }, false],
    ['all', false],
    [true, false],
    [[], false],
    [{ All: false, Other: true }, false],
  ];
  for (const [integrations, expected] of table) {
    assert.equal(isIntegrated(integrations, 'Webhook'), expected, JSON.stringify(integrations));
  }
});

test('a name of an inherited property decides nothing', () => {
  assert.equal(isIntegrated({ All: false }, 'constructor'), false);
});

test('a destination that is switched off anywhere filters every event', () => {
  const table: [Partial<DestinationConfig>, string][] = [
    [{ enabled: false }, 'destination is disabled'],
    [{ isConnectionEnabled: false }, 'connection is disabled'],
    [{ isProcessorEnabled: false }, 'destination is in device mode'],
  ];
  for (const [changes, reason] of table) {
    const filter = compileFilter(makeDestination('d', changes));
    assert.deepEqual(filterEvent(filter, { type: 'track' }), { code: 298, reason });
  }
});

test('only message types the definition lists pass, and an event without one is at fault', () => {
  const definition = {
    id: 'dd',
    name: 'WEBHOOK',
    displayName: 'Webhook',
    config: { supportedMessageTypes: ['Track', 'identify'] },
  };
  const filter = compileFilter(makeDestination('d', { destinationDefinition: definition }));
  assert.equal(filterEvent(filter, { type: 'track' }), undefined);
  assert.equal(filterEvent(filter, { type: ' TRACK ' }), undefined);
  assert.equal(filterEvent(filter, { type: 'page' })?.code, 298);
  for (const type of [undefined, '', ' ', 7]) assert.equal(filterEvent(filter, { type })?.code, 400);
});

test('only the array form of supported types filters, and identify can be switched off', () => {
  const withTypes = (supportedMessageTypes: unknown, config = {}): ReadonlySet<string> | undefined =>
    supportedTypes(
      makeDestination('d', {
        config,
        destinationDefinition: { id: 'dd', name: 'X', displayName: 'X', config: { supportedMessageTypes } },
      }),
    );
  assert.equal(withTypes(undefined), undefined);
  assert.equal(withTypes({ cloud: ['track'] }), undefined);
  assert.deepEqual(withTypes([]), new Set());
  assert.deepEqual(withTypes(['identify', 'track'], { enableServerSideIdentify: false }), new Set(['track']));
  assert.deepEqual(
    withTypes(['identify', 'track'], { enableServerSideIdentify: true }),
    new Set(['identify', 'track']),
  );
});
