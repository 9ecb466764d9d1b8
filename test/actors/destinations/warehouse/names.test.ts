// Names of tables and columns: the field's rules by example, and what every name is, whatever it is made of.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dialects } from '../../../../actors/destinations/warehouse/dialects.ts';
import { columnName, eventName, eventTable, namespace } from '../../../../actors/destinations/warehouse/names.ts';

const plain = { dividesNumbers: false, usesBlendoCasing: false, skipsReservedWords: false };
const { POSTGRES, SNOWFLAKE, BQ, RS, CLICKHOUSE, MSSQL, S3_DATALAKE } = dialects;

test('columns are words of letters and digits in snake case', () => {
  for (const [key, name] of [
    ['firstName', 'first_name'],
    ['HTTPRequest', 'http_request'],
    ['utm2Source', 'utm2_source'],
    ['Completed2', 'completed2'],
    ['tooLegit2Quit', 'too_legit2_quit'],
    ['9lives', '_9lives'],
    ['_id', '_id'],
    ['__fooBar', '__foo_bar'],
    ['a-b.c d', 'a_b_c_d'],
    ['$set', 'set'],
    ['straße', 'stra_e'],
    ['Ünïcode', 'n_code'],
    ['already_snake', 'already_snake'],
    ['ALL_CAPS', 'all_caps'],
  ] as const)
    assert.equal(columnName(key, POSTGRES, plain), name);
  for (const key of ['имя', '', '___', '💥']) assert.equal(columnName(key, POSTGRES, plain), undefined);
});

test('numbers are divided where that is asked for', () => {
  const divided = { ...plain, dividesNumbers: true };
  assert.equal(columnName('tooLegit2Quit', POSTGRES, divided), 'too_legit_2_quit');
  assert.equal(columnName('Completed2', POSTGRES, divided), 'completed_2');
});

test('Blendo casing only lowers and replaces', () => {
  const blendo = { ...plain, usesBlendoCasing: true };
  assert.equal(columnName('firstName-X 1', POSTGRES, blendo), 'firstname_x_1');
  assert.equal(columnName('9lives', POSTGRES, blendo), '_9lives');
});

test('every warehouse has its case, its words and its length', () => {
  const long = 'x'.repeat(200);
  assert.equal(columnName('select', POSTGRES, plain), '_select');
  assert.equal(columnName('select', SNOWFLAKE, plain), '_SELECT');
  assert.equal(columnName('firstName', SNOWFLAKE, plain), 'FIRST_NAME');
  assert.equal(columnName('timestamp', RS, plain), '_timestamp');
  assert.equal(columnName('timestamp', POSTGRES, plain), 'timestamp');
  assert.equal(columnName('rowcount', MSSQL, plain), '_rowcount');
  assert.equal(columnName('select', CLICKHOUSE, plain), 'select');
  assert.equal(columnName('select', BQ, { ...plain, skipsReservedWords: true }), 'select');
  assert.equal(columnName(long, POSTGRES, plain)?.length, 63);
  assert.equal(columnName(long, BQ, plain)?.length, 127);
  assert.equal(columnName(long, S3_DATALAKE, plain)?.length, 200);
});

test('tables of events never take the place of ours', () => {
  assert.equal(eventTable('Order Completed', POSTGRES, plain), 'order_completed');
  assert.equal(eventName('Order Completed', plain), 'order_completed');
  assert.equal(eventTable('Users', POSTGRES, plain), '_users');
  assert.equal(eventTable('tracks', SNOWFLAKE, plain), '_TRACKS');
  const unescaped = { ...plain, skipsReservedWords: true };
  assert.equal(eventTable('tracks', POSTGRES, unescaped), 'tracks');
  assert.equal(eventTable('identifies', POSTGRES, unescaped), '_identifies');
  assert.equal(eventTable(' ', POSTGRES, plain), undefined);
});

test('a namespace is made of the name of the source', () => {
  assert.equal(namespace('My Shop 2', POSTGRES), 'my_shop_2');
  assert.equal(namespace('table', SNOWFLAKE), '_TABLE');
  assert.equal(namespace('9to5', BQ), '_9to5');
  assert.equal(namespace('магазин', BQ), 'stringempty');
});

test('every name is an identifier within the limit, and no reserved word, and stays itself when named again', () => {
  const key = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.stringMatching(/^[A-Za-z0-9_ -]{1,180}$/));
  const flags = fc.record({
    dividesNumbers: fc.boolean(),
    usesBlendoCasing: fc.boolean(),
    skipsReservedWords: fc.constant(false),
  });
  const dialect = fc.constantFrom(...Object.values(dialects));
  fc.assert(
    fc.property(key, dialect, flags, (text, warehouse, options) => {
      const name = columnName(text, warehouse, options);
      if (name === undefined) return;
      assert.match(name, warehouse.isUpperCase ? /^[A-Z_][A-Z0-9_]*$/ : /^[a-z_][a-z0-9_]*$/);
      assert.ok(name.length <= warehouse.nameCharactersMax);
      assert.ok(!warehouse.reserved.has(name.toUpperCase()), name);
      if (!options.dividesNumbers && !warehouse.isUpperCase) assert.equal(columnName(name, warehouse, options), name);
    }),
    { numRuns: 1000 },
  );
});
