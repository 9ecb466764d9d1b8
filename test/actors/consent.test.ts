// Which destinations may have the events of somebody who denied consents, by the tables of the field.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { compileFilter } from '../../actors/processor/destination-filter.ts';
import { filterEvent, makeDestination } from '../support/workspace-objects.ts';

const denied = { code: 298, reason: 'the user has denied consent' };

function verdictOf(config: Record<string, unknown>, consentManagement: unknown) {
  const filter = compileFilter(makeDestination('d', { config }));
  return filterEvent(filter, { type: 'track', context: { consentManagement } });
}

const generic = (provider: string, resolutionStrategy: string, ...consents: unknown[]) => ({
  consentManagement: [{ provider, resolutionStrategy, consents: consents.map((consent) => ({ consent })) }],
});
const oneTrust = {
  oneTrustCookieCategories: [{ oneTrustCookieCategory: 'C1' }, { oneTrustCookieCategory: ' C2 ' }, {}],
};
const ketch = { ketchConsentPurposes: [{ purpose: 'ads' }, { purpose: 'analytics' }] };

test('consent decides as in the field: generic settings of the provider, then those of OneTrust and Ketch', () => {
  const table: [Record<string, unknown>, unknown, boolean][] = [
    [{}, { deniedConsentIds: ['C1'] }, true],
    [oneTrust, undefined, true],
    [oneTrust, 'nonsense', true],
    [oneTrust, { deniedConsentIds: 'C1' }, true],
    [oneTrust, { deniedConsentIds: [] }, true],
    [oneTrust, { deniedConsentIds: ['', 7] }, true],
    [oneTrust, { deniedConsentIds: ['C9'] }, true],
    [oneTrust, { deniedConsentIds: ['C2'] }, false],
    [oneTrust, { deniedConsentIds: ['C1'], provider: 'oneTrust' }, false],
    [oneTrust, { deniedConsentIds: ['C1'], provider: 'ketch' }, true],
    [ketch, { deniedConsentIds: ['ads'] }, true],
    [ketch, { deniedConsentIds: ['ads', 'analytics'] }, false],
    [ketch, { deniedConsentIds: ['ads', 'analytics'], provider: 'oneTrust' }, true],
    [generic('iubenda', '', 'a', 'b'), { deniedConsentIds: ['a'], provider: 'iubenda' }, false],
    [
      generic('iubenda', '', 'a', 'b'),
      { deniedConsentIds: ['a'], provider: 'iubenda', resolutionStrategy: 'or' },
      true,
    ],
    [
      generic('iubenda', 'or', 'a', 'b'),
      { deniedConsentIds: ['b', 'a'], provider: 'iubenda', resolutionStrategy: 'or' },
      false,
    ],
    [generic('iubenda', '', 'a'), { deniedConsentIds: ['a'], provider: 'other' }, true],
    [
      generic('custom', 'or', 'a', 'b'),
      { deniedConsentIds: ['a'], provider: 'custom', resolutionStrategy: 'and' },
      true,
    ],
    [
      generic('custom', 'and', 'a', 'b'),
      { deniedConsentIds: ['a'], provider: 'custom', resolutionStrategy: 'or' },
      false,
    ],
    [generic('custom', 'and', '', 7), { deniedConsentIds: ['a'], provider: 'custom' }, true],
    [{ ...oneTrust, ...generic('oneTrust', '', 'x') }, { deniedConsentIds: ['C1'], provider: 'oneTrust' }, true],
    [{ consentManagement: 'nonsense', ketchConsentPurposes: [null] }, { deniedConsentIds: ['a'] }, true],
  ];
  for (const [config, given, isPassed] of table) {
    const expected = isPassed ? undefined : denied;
    assert.deepEqual(verdictOf(config, given), expected, JSON.stringify([config, given]));
  }
});

test('in hybrid mode only the types listed for the kind of source come through us', () => {
  const config = {
    connectionMode: 'hybrid',
    hybridModeCloudEventsFilter: { web: { messageType: ['Track', 'group'] }, android: {} },
  };
  const verdict = (type: unknown, sourceType: string, changes = {}) =>
    filterEvent(compileFilter(makeDestination('d', { config: { ...config, ...changes } }), sourceType), { type })?.code;
  assert.equal(verdict('TRACK', 'web'), undefined);
  assert.equal(verdict('identify', 'web'), 298);
  assert.equal(verdict(undefined, 'web'), 400);
  assert.equal(verdict('identify', 'android'), undefined);
  assert.equal(verdict('identify', 'ios'), undefined);
  assert.equal(verdict('identify', 'web', { connectionMode: 'cloud' }), undefined);
});

test('a list of conversions lets only these events through', () => {
  const config = { listOfConversions: [{ conversions: 'Order Completed' }, { conversions: '' }, {}] };
  const verdict = (event: unknown, own: Record<string, unknown> = config) =>
    filterEvent(compileFilter(makeDestination('d', { config: own })), { type: 'track', event })?.code;
  assert.equal(verdict('Order Completed'), undefined);
  assert.equal(verdict('Order Cancelled'), 298);
  for (const event of [undefined, 7, null]) assert.equal(verdict(event), 400);
  assert.equal(verdict('anything', { listOfConversions: [{ conversions: ' ' }] }), undefined);
  assert.equal(verdict('anything', { listOfConversions: 'nonsense' }), undefined);
});
