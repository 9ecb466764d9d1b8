// What a source may ask of the processor, as it stands in the workspace's shape, and what of it is read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keptForm } from '../../../actors/services/source-options.ts';
import { parseWorkspaceFile } from '../../../actors/services/workspace-file.ts';

function read(source: Record<string, unknown>, settings?: Record<string, unknown>) {
  const own = { id: 'src', writeKey: 'wk', sourceDefinition: { name: 'HTTP' }, ...source };
  const text = JSON.stringify({ workspaceId: 'ws', settings, sources: [own] });
  const reading = parseWorkspaceFile({ path: 'workspace.json', bytes: Buffer.from(text), environment: {} });
  assert.ok(reading.ok, JSON.stringify(reading));
  const { transient, geoEnrichment, trackingPlan, blockedEvents, hydration } = reading.sources[0] ?? {};
  return { transient, geoEnrichment, trackingPlan, blockedEvents, hydration };
}

const nothing = {
  transient: undefined,
  geoEnrichment: undefined,
  trackingPlan: undefined,
  blockedEvents: undefined,
  hydration: undefined,
};

test('a source that asks for nothing has nothing', () => {
  assert.deepEqual(read({}), nothing);
  assert.deepEqual(read({ transient: false, geoEnrichment: null, dgSourceTrackingPlanConfig: null }), nothing);
});

test('what a source asks for is read, whatever the case of its keys', () => {
  const events = [{ name: 'Paid', eventType: 'track', rules: {} }];
  const asked = read(
    {
      Transient: true,
      geoEnrichment: { Enabled: true },
      internalSecret: { key: 's' },
      sourceDefinition: { name: 'FB', options: { hydration: { enabled: true } } },
      dgSourceTrackingPlanConfig: {
        config: { global: { anyOtherViolation: 'drop' } },
        trackingPlan: { id: 'tp', version: 4, rules: { events } },
      },
    },
    { eventBlocking: { events: { track: ['Secret'] } } },
  );
  assert.deepEqual(asked, {
    transient: true,
    geoEnrichment: true,
    blockedEvents: { track: ['Secret'] },
    hydration: { internalSecret: { key: 's' } },
    trackingPlan: {
      id: 'tp',
      version: '4',
      config: { global: { anyOtherViolation: 'drop' } },
      mergedConfig: {},
      events,
    },
  });
  const deleted = { deleted: true, trackingPlan: { id: 'tp' } };
  assert.equal(read({ dgSourceTrackingPlanConfig: deleted }).trackingPlan, undefined);
});

test('a source that was kept is read again as it was', () => {
  const destination = {
    id: 'dst',
    config: {},
    destinationDefinition: { name: 'WEBHOOK' },
    transformations: [{ id: 'tr', config: { code: 'x' } }],
  };
  const source = {
    id: 'src',
    writeKey: 'wk',
    transient: true,
    geoEnrichment: { enabled: true },
    sourceDefinition: { name: 'FB', options: { hydration: { enabled: true } } },
    dgSourceTrackingPlanConfig: { config: { global: {} }, trackingPlan: { id: 'tp', version: 1, events: [] } },
    destinations: [destination],
  };
  const settings = { eventBlocking: { events: { track: ['Secret'] } }, eventAuditEnabled: true };
  const libraries = [{ versionId: 'l1', name: 'lib', code: 'y' }];
  const parse = (content: unknown) => {
    const bytes = Buffer.from(JSON.stringify(content));
    const reading = parseWorkspaceFile({ path: 'w.json', bytes, environment: {} });
    assert.ok(reading.ok, JSON.stringify(reading));
    return reading.sources;
  };
  const first = parse({ workspaceId: 'ws', settings, libraries, sources: [source] });
  assert.deepEqual(parse({ ws: { sources: first.map(keptForm) } }), first);
});
