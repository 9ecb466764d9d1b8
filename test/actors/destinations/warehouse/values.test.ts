// Types of values, and what happens to a value whose column has another type already.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ColumnType, dialects } from '../../../../actors/destinations/warehouse/dialects.ts';
import { coerce, discardOf, mergedType, mergeSchema } from '../../../../actors/destinations/warehouse/schema-rules.ts';
import { cellOf, normalDate } from '../../../../actors/destinations/warehouse/values.ts';

const { POSTGRES, RS } = dialects;

test('a type follows from one value', () => {
  for (const [value, type] of [
    [1, 'int'],
    [-0, 'int'],
    [1.5, 'float'],
    [1e300, 'float'],
    [true, 'boolean'],
    ['2026-03-01', 'datetime'],
    ['2026-03-01T10:00:00+02:00', 'datetime'],
    ['hello', 'string'],
    ['12', 'string'],
    [[1, 2], 'string'],
    ['x'.repeat(600), 'string'],
  ] as const)
    assert.equal(cellOf(value, POSTGRES).type, type, String(value).slice(0, 40));
  assert.equal(cellOf('x'.repeat(512), RS).type, 'string');
  assert.equal(cellOf('x'.repeat(513), RS).type, 'text');
});

test('times are those of ISO 8601, in UTC and to the millisecond', () => {
  for (const [text, normal] of [
    ['2026-03-01', '2026-03-01T00:00:00.000Z'],
    ['2026-03-01T10:20', '2026-03-01T10:20:00.000Z'],
    ['2026-03-01 10:20:30.123456789Z', '2026-03-01T10:20:30.123Z'],
    ['2026-03-01T00:30:00.5+02:00', '2026-02-28T22:30:00.500Z'],
    ['2026-03-01T00:30:00-0530', '2026-03-01T06:00:00.000Z'],
  ] as const)
    assert.equal(normalDate(text), normal);
  for (const text of [
    '2026-02-30',
    '2026-13-01',
    '2026-03-01T24:00:00Z',
    '0000-01-01',
    '0001-01-01T00:00:00+01:00',
    '20260301',
    '2026',
    'today',
    '2026-03-01T10:20:30Z!',
    '',
  ])
    assert.equal(normalDate(text), undefined, text);
});

test('a normal time is its own normal time', () => {
  const times = fc.date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  });
  fc.assert(fc.property(times, (time) => assert.equal(normalDate(time.toISOString()), time.toISOString())));
});

test('the first type of a column stays, but text has room for strings', () => {
  assert.equal(mergedType(undefined, 'int'), 'int');
  assert.equal(mergedType('int', 'string'), 'int');
  assert.equal(mergedType('string', 'text'), 'text');
  assert.equal(mergedType('text', 'string'), 'text');
  const schema: Record<string, ColumnType> = { a: 'string' };
  mergeSchema(schema, { a: 'text', b: 'int', valueOf_: 'int' });
  assert.deepEqual(schema, { a: 'text', b: 'int', valueOf_: 'int' });
});

test('values are made to fit, or discarded', () => {
  for (const [value, from, to, coerced] of [
    [1, 'int', 'string', '1'],
    ['a', 'string', 'text', 'a'],
    [1, 'int', 'float', 1],
    [1.9, 'float', 'int', 1],
    [-1.9, 'float', 'int', -1],
    [true, 'boolean', 'json', 'true'],
    ['a', 'string', 'json', '"a"'],
    [null, 'string', 'int', null],
  ] as const)
    assert.deepEqual(coerce(value, from, to), { ok: true, value: coerced });
  for (const [value, from, to] of [
    ['a', 'string', 'int'],
    [1, 'int', 'boolean'],
    [true, 'boolean', 'datetime'],
    ['2026-03-01T00:00:00.000Z', 'datetime', 'float'],
  ] as const)
    assert.deepEqual(coerce(value, from, to), { ok: false });
});

test('a discard names its row, and there is none for a row without a name', () => {
  const data = { ID: 'm-1', RECEIVED_AT: '2026-03-01T00:00:00.000Z', TOTAL: 'a' };
  assert.deepEqual(discardOf('PAID', 'TOTAL', data, { from: 'string', to: 'int' }), {
    table_name: 'PAID',
    row_id: 'm-1',
    column_name: 'TOTAL',
    column_value: 'a',
    received_at: '2026-03-01T00:00:00.000Z',
    reason: 'incompatible schema conversion from int to string',
  });
  assert.equal(discardOf('paid', 'total', { id: 'x', total: 1 }, { from: 'int', to: 'boolean' }), undefined);
});
