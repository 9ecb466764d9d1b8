// What is learnt of events: keys and types, never values; the same for the same events; and little, however much a
// hostile client sends.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Settings } from '../../../actors/config.ts';
import { shapeOf } from '../../../actors/schemas/event-shape.ts';
import { addShape, emptySchema } from '../../../actors/schemas/schema-merge.ts';
import { type SchemaLabels, schemaTap } from '../../../actors/schemas/schema-tap.ts';
import { defaultSettings, runObserved } from '../../support/observed-events.ts';
import { makeSource } from '../../support/workspace-objects.ts';

const settings: Settings = {
  ...defaultSettings(),
  eventSchemas: { ...defaultSettings().eventSchemas, enabled: true, keysMax: 50, schemasMax: 20 },
};

function learn(events: readonly object[], changes: object = {}) {
  const source = { ...makeSource('src', []), ...changes };
  const { observations = [] } = runObserved({ source, taps: [schemaTap(settings)], events });
  return observations.map((one) => ({ ...one, labels: JSON.parse(one.labels) as SchemaLabels }));
}

test('a shape has the path and type of every value, items of lists together', () => {
  const event = { a: { 'b.c': 1, d: null }, list: [1, 'x', { y: true }, [2]], none: [], empty: {} };
  assert.deepEqual(Object.fromEntries(shapeOf(event, 100).paths), {
    'a.b\\.c': 'number',
    'a.d': 'null',
    list: 'array',
    'list[]': 'array|number|string',
    'list[].y': 'boolean',
    'list[][]': 'number',
    none: 'array',
    empty: 'object',
  });
});

test('of any event the shape is bounded, and holds no value', () => {
  fc.assert(
    fc.property(fc.object({ maxDepth: 20, maxKeys: 60 }), (event) => {
      const { paths } = shapeOf(JSON.parse(JSON.stringify(event)), 30);
      assert.ok(paths.size <= 31);
      for (const [path, types] of paths) {
        assert.ok(path.length <= 202);
        assert.match(
          types,
          /^(string|number|boolean|null|array|object)(\|(string|number|boolean|null|array|object))*$/,
        );
      }
    }),
  );
});

test('equal shapes of a commit are one row, with one example', () => {
  const rows = learn([
    { type: 'track', event: 'Order', properties: { total: 1 } },
    { type: 'track', event: 'Order', properties: { total: 2 } },
    { type: 'track', event: 'Order', properties: { total: 'free' } },
  ]).filter(({ labels }) => labels.name === 'Order');
  assert.deepEqual(
    rows.map(({ count, labels }) => [count, labels.keys['properties.total']]),
    [
      [2, 'number'],
      [1, 'string'],
    ],
  );
  assert.deepEqual(
    rows.map(({ sample }) => sample !== ''),
    [true, false],
  );
});

test('a client that invents keys and names costs a bounded number of small rows, and every event is counted', () => {
  const wide = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key ${index}`, index]));
  let deep: object = { end: true };
  for (let depth = 0; depth < 400; depth += 1) deep = { down: deep };
  const events = Array.from({ length: 1_000 }, (_, index) => ({
    type: 'track',
    event: `event ${index}`,
    properties: index % 3 === 0 ? wide : index % 3 === 1 ? deep : { [`own ${index} ${'x'.repeat(5_000)}`]: 1 },
  }));
  const rows = learn(events);
  assert.ok(rows.length <= 221, `${rows.length} rows`);
  assert.equal(
    rows.reduce((sum, { count }) => sum + count, 0),
    1_000,
  );
  for (const { labels, sample } of rows) {
    assert.ok(JSON.stringify(labels).length < 34_000);
    assert.ok(Buffer.byteLength(sample) <= 10_240);
  }
  assert.ok(new Set(rows.map(({ labels }) => labels.name)).size <= 21);
});

test('nothing is learnt of transient sources and of workspaces that want it not', () => {
  assert.deepEqual(learn([{ type: 'track' }], { transient: true }), []);
  assert.deepEqual(learn([{ type: 'track' }], { observing: { eventSchemas: false } }), []);
});

test('shapes put together count types by path, up to a number of paths, whatever the paths are called', () => {
  const labels: SchemaLabels = {
    workspaceId: 'w',
    sourceId: 's',
    writeKey: 'k',
    type: 'track',
    name: 'n',
    keys: JSON.parse('{"a":"number|string","__proto__":"null","toString":"string"}'),
    isCut: false,
  };
  const schema = emptySchema(labels, 5);
  addShape(schema, { labels, count: 2, sample: '', minute: 7 }, 3);
  addShape(schema, { labels: { ...labels, keys: { a: 'number', b: 'null' } }, count: 3, sample: '{}', minute: 4 }, 3);
  assert.equal(
    JSON.stringify(schema.keys),
    '{"a":{"number":5,"string":2},"__proto__":{"null":2},"toString":{"string":2}}',
  );
  const { count, isCut, sample, firstMinute, lastMinute } = schema;
  assert.deepEqual([count, isCut, sample, firstMinute, lastMinute], [5, true, '{}', 4, 7]);
});
