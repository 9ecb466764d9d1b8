// One event as rows: tables, columns and rules by type of event and by warehouse.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EventObject } from '../../../../actors/destinations/destination.ts';
import { dialects } from '../../../../actors/destinations/warehouse/dialects.ts';
import type { RowMetadata, WarehouseRow } from '../../../../actors/destinations/warehouse/row.ts';
import { warehouseRows } from '../../../../actors/destinations/warehouse/rows.ts';
import type { WarehouseSettings } from '../../../../actors/destinations/warehouse/settings.ts';

const receivedAt = '2026-03-01T12:00:00.000Z';
const metadata: RowMetadata = {
  messageId: 'm-1',
  receivedAtMs: Date.parse(receivedAt),
  sourceId: 'src-1',
  sourceType: 'Node',
  sourceCategory: '',
  destinationId: 'dst-1',
  destinationType: 'POSTGRES',
};
const settings: WarehouseSettings = {
  dialect: dialects.POSTGRES,
  skipTracksTable: false,
  skipUsersTable: false,
  underscoreDivideNumbers: false,
  allowUsersContextTraits: false,
  storeFullEvent: false,
  jsonPaths: '',
  resolvesIdentities: false,
};

interface Changes {
  settings?: Partial<WarehouseSettings>;
  metadata?: Partial<RowMetadata>;
}

function rowsOf(event: EventObject, changes: Changes = {}): WarehouseRow[] {
  const result = warehouseRows(event, { ...metadata, ...changes.metadata }, { ...settings, ...changes.settings });
  assert.ok(result.ok, result.ok ? '' : result.problem);
  return result.rows;
}

function tableOf(rows: readonly WarehouseRow[], table: string): WarehouseRow {
  const row = rows.find((one) => one.metadata.table === table);
  assert.ok(row, `expected a row of ${table}, got ${rows.map((one) => one.metadata.table).join(', ')}`);
  return row;
}

const track: EventObject = {
  type: 'track',
  event: 'Order Paid',
  userId: 'u1',
  anonymousId: 'a1',
  messageId: 'm-1',
  channel: 'web',
  request_ip: '5.6.7.8',
  properties: { total: 12.5, firstOrder: true, cart: { items: [1, 2], empty: {} }, id: 'dropped', note: '' },
  context: { ip: '1.2.3.4', library: { name: 'js' } },
  timestamp: '2026-03-01T11:59:00+01:00',
  originalTimestamp: '2026-03-01T11:59:00.000Z',
  sentAt: '2026-03-01T11:59:01.000Z',
  receivedAt,
};

const about = {
  context_destination_id: 'dst-1',
  context_destination_type: 'POSTGRES',
  context_source_id: 'src-1',
  context_source_type: 'Node',
};
const addresses = { context_ip: '1.2.3.4', context_passed_ip: '1.2.3.4', context_request_ip: '5.6.7.8' };
const defaults = {
  ...about,
  ...addresses,
  anonymous_id: 'a1',
  channel: 'web',
  context_library_name: 'js',
  id: 'm-1',
  original_timestamp: '2026-03-01T11:59:00.000Z',
  received_at: receivedAt,
  sent_at: '2026-03-01T11:59:01.000Z',
  timestamp: '2026-03-01T10:59:00.000Z',
  user_id: 'u1',
};

test('a track is a row of tracks, and one of its own table that has the properties', () => {
  const rows = rowsOf(track);
  assert.deepEqual(
    rows.map((row) => row.metadata.table),
    ['tracks', 'order_paid'],
  );
  const named = { event: 'order_paid', event_text: 'Order Paid' };
  assert.deepEqual(tableOf(rows, 'tracks').data, { ...defaults, ...named });
  const own = tableOf(rows, 'order_paid');
  assert.deepEqual(own.data, { ...defaults, ...named, cart_items: [1, 2], first_order: true, total: 12.5 });
  assert.equal(own.metadata.receivedAt, receivedAt);
  const { total, first_order: first, cart_items: items, sent_at: sent, uuid_ts: loaded } = own.metadata.columns;
  assert.deepEqual([total, first, items, sent, loaded], ['float', 'boolean', 'string', 'datetime', 'datetime']);
  assert.deepEqual(Object.keys(own.data), Object.keys(own.data).sort());
});

test('names are in the case of the warehouse, and BQ knows when it loaded', () => {
  const snowflake = rowsOf(track, { settings: { dialect: dialects.SNOWFLAKE } });
  assert.deepEqual(
    snowflake.map((row) => row.metadata.table),
    ['TRACKS', 'ORDER_PAID'],
  );
  assert.equal(tableOf(snowflake, 'ORDER_PAID').data.TOTAL, 12.5);
  assert.equal(tableOf(snowflake, 'TRACKS').data.CONTEXT_IP, '1.2.3.4');
  const bigQuery = rowsOf(track, { settings: { dialect: dialects.BQ } });
  assert.equal(tableOf(bigQuery, 'tracks').metadata.columns.loaded_at, 'datetime');
});

test('tables may be left out by settings and by the event', () => {
  assert.equal(rowsOf(track, { settings: { skipTracksTable: true } }).length, 1);
  assert.equal(rowsOf({ ...track, integrations: { POSTGRES: { options: { skipTracksTable: true } } } }).length, 1);
  assert.equal(rowsOf({ ...track, event: '' }).length, 1);
});

test('an identify is a row of identifies, and one of users that has no ids of others', () => {
  const event = {
    ...track,
    type: 'identify',
    traits: { plan: 'pro', id: 'dropped', user_id: 'dropped' },
    userProperties: { plan: 'free', age: 7 },
    context: { ip: '1.2.3.4', traits: { email: 'a@b.c' } },
  };
  const rows = rowsOf(event);
  assert.deepEqual(
    rows.map((row) => row.metadata.table),
    ['identifies', 'users'],
  );
  const { context_library_name: _, ...own } = defaults;
  const traits = { age: 7, plan: 'pro', context_traits_email: 'a@b.c' };
  assert.deepEqual(tableOf(rows, 'identifies').data, { ...own, ...traits });
  assert.deepEqual(tableOf(rows, 'users').data, {
    ...about,
    ...addresses,
    ...traits,
    id: 'u1',
    original_timestamp: own.original_timestamp,
    received_at: receivedAt,
    sent_at: own.sent_at,
    timestamp: own.timestamp,
  });
  assert.equal(rowsOf({ ...event, userId: ' ' }).length, 1);
  assert.equal(rowsOf(event, { settings: { skipUsersTable: true } }).length, 1);
  const lake = tableOf(rowsOf(event, { settings: { dialect: dialects.S3_DATALAKE } }), 'users');
  assert.equal(lake.data.sent_at, undefined);
  const open = rowsOf(event, { settings: { allowUsersContextTraits: true } });
  assert.equal(tableOf(open, 'users').data.email, 'a@b.c');
});

test('pages, screens, groups and aliases have a table each, with a column of their own', () => {
  const page = tableOf(rowsOf({ ...track, type: 'page', properties: { name: 'Home', url: 'https://shop/' } }), 'pages');
  assert.deepEqual([page.data.name, page.data.url], ['Home', 'https://shop/']);
  assert.equal(tableOf(rowsOf({ ...track, type: 'screen', name: 'Cart' }), 'screens').data.name, 'Cart');
  const group = tableOf(rowsOf({ ...track, type: 'group', groupId: 'g1', traits: { seats: 3 } }), 'groups');
  assert.deepEqual([group.data.group_id, group.data.seats], ['g1', 3]);
  assert.equal(tableOf(rowsOf({ ...track, type: 'alias', previousId: 'old' }), 'aliases').data.previous_id, 'old');
});

test('records of cloud sources are named by their record id', () => {
  const cloud = { metadata: { sourceCategory: 'cloud' } };
  const record = { ...track, recordId: 'r1', context: { sources: { version: '1' } } };
  const rows = rowsOf(record, cloud);
  assert.equal(tableOf(rows, 'order_paid').data.id, 'r1');
  assert.equal(tableOf(rows, 'tracks').data.record_id, 'r1');
  assert.equal(tableOf(rows, 'tracks').data.id, 'm-1');
  assert.deepEqual(warehouseRows({ ...record, recordId: '' }, { ...metadata, ...cloud.metadata }, settings), {
    ok: false,
    problem: 'recordId is missing',
  });
  const deep = { ...track, properties: { a: { b: { c: { d: 1 } } } } };
  assert.equal(tableOf(rowsOf(deep, cloud), 'order_paid').data.a_b_c, '{"d":1}');
  assert.equal(tableOf(rowsOf(deep), 'order_paid').data.a_b_c_d, 1);
  const extract = rowsOf({ ...record, type: 'extract' }, cloud);
  assert.deepEqual(
    extract.map((row) => row.metadata.table),
    ['order_paid'],
  );
  assert.equal(extract[0]?.data.id, 'r1');
});

test('places that are asked for are kept as JSON', () => {
  const event = { ...track, properties: { a: { b: { c: 1 } }, x: { y: [1] }, deep: { a: { b: { c: 1 } } } } };
  const json = { settings: { jsonPaths: 'track.properties.a.b, x.y' } };
  const row = tableOf(rowsOf(event, json), 'order_paid');
  assert.deepEqual([row.data.a_b, row.metadata.columns.a_b], ['{"c":1}', 'json']);
  assert.deepEqual([row.data.x_y, row.metadata.columns.x_y], ['[1]', 'json']);
  assert.equal(row.data.deep_a_b_c, 1);
  const bigQuery = rowsOf(event, { settings: { dialect: dialects.BQ, jsonPaths: 'track.properties.a.b' } });
  assert.equal(tableOf(bigQuery, 'order_paid').metadata.columns.a_b, 'string');
  const clickhouse = rowsOf(event, { settings: { dialect: dialects.CLICKHOUSE, jsonPaths: 'track.properties.a.b' } });
  assert.equal(tableOf(clickhouse, 'order_paid').data.a_b_c, 1);
  const byEvent = { ...event, integrations: { DATA_WAREHOUSE: { options: { jsonPaths: ['a'] } } } };
  assert.equal(tableOf(rowsOf(byEvent), 'order_paid').data.a, '{"b":{"c":1}}');
});

test('the whole event is kept where that is asked for, but not beside its own columns', () => {
  const rows = rowsOf(track, { settings: { storeFullEvent: true } });
  assert.equal(tableOf(rows, 'tracks').data.rudder_event, JSON.stringify(track));
  assert.equal(tableOf(rows, 'tracks').metadata.columns.rudder_event, 'json');
  assert.equal(tableOf(rows, 'order_paid').data.rudder_event, undefined);
});

test('merge rules go beside the rows, for warehouses that merge users', () => {
  const merging = { settings: { dialect: dialects.BQ, resolvesIdentities: true } };
  const rule = tableOf(rowsOf(track, merging), 'rudder_identity_merge_rules');
  assert.deepEqual(rule, {
    metadata: {
      table: 'rudder_identity_merge_rules',
      columns: {
        merge_property_1_type: 'string',
        merge_property_1_value: 'string',
        merge_property_2_type: 'string',
        merge_property_2_value: 'string',
      },
      receivedAt,
      isMergeRule: true,
      mergePropOne: 'a1',
      mergePropTwo: 'u1',
    },
    data: {
      merge_property_1_type: 'anonymous_id',
      merge_property_1_value: 'a1',
      merge_property_2_type: 'user_id',
      merge_property_2_value: 'u1',
    },
    userId: '',
  });
  const merge = {
    type: 'merge',
    mergeProperties: [
      { type: 'email', value: 'a@b.c' },
      { type: 'mobile', value: '1' },
    ],
  };
  const [only, ...rest] = rowsOf(merge, { settings: { dialect: dialects.SNOWFLAKE, resolvesIdentities: true } });
  assert.deepEqual(
    [only?.data.MERGE_PROPERTY_1_TYPE, only?.data.MERGE_PROPERTY_2_VALUE, rest.length],
    ['email', '1', 0],
  );
  assert.equal(rowsOf(track, { settings: { resolvesIdentities: true } }).length, 2);
});

test('a text that was spread into letters is joined again', () => {
  const spread = { 0: 'a', 1: 'b' };
  const row = tableOf(rowsOf({ ...track, context: { traits: spread } }), 'tracks');
  assert.equal(row.data.context_traits, 'ab');
  assert.equal(tableOf(rowsOf({ ...track, type: 'group', traits: spread }), 'groups').data._0, undefined);
});

test('what cannot become rows says why', () => {
  const wide = Object.fromEntries(Array.from({ length: 1700 }, (_, index) => [`p${index}`, index]));
  for (const [event, problem] of [
    [{ type: 'dance' }, 'Unknown event type: "dance"'],
    [{ type: 'constructor' }, 'Unknown event type: "constructor"'],
    [{ ...track, context: 'x' }, 'context is not a map'],
    [{ type: 'extract' }, 'event is missing'],
  ] as const)
    assert.deepEqual(warehouseRows(event, metadata, settings), { ok: false, problem });
  const tooWide = warehouseRows({ ...track, properties: wide }, metadata, settings);
  assert.ok(!tooWide.ok && /^expected at most 1600 columns in table order_paid, got 17\d\d$/.test(tooWide.problem));
  assert.equal(rowsOf({ ...track, channel: 'sources', properties: wide }).length, 2);
  assert.equal(rowsOf({ ...track, properties: wide }, { settings: { dialect: dialects.GCS_DATALAKE } }).length, 2);
});

test('rows of any event have legal names, one type for each value, and the same bytes every time', () => {
  const object = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('id', 'ID', 'user_id', '__proto__', 'select', 'uuid_ts')),
    fc.jsonValue({ maxDepth: 3 }),
    { maxKeys: 8 },
  );
  const anyEvent = fc.record(
    {
      type: fc.constantFrom('track', 'identify', 'page', 'screen', 'group', 'alias', 'extract', 'merge'),
      event: fc.string(),
      userId: fc.oneof(fc.string(), fc.jsonValue()),
      anonymousId: fc.string(),
      properties: object,
      traits: object,
      userProperties: object,
      context: object,
    },
    { requiredKeys: ['type'] },
  );
  fc.assert(
    fc.property(anyEvent, fc.constantFrom(...Object.values(dialects)), (made, dialect) => {
      const event: EventObject = JSON.parse(JSON.stringify(made));
      const changed = { ...settings, dialect, resolvesIdentities: true };
      const result = warehouseRows(event, metadata, changed);
      assert.deepEqual(JSON.stringify(warehouseRows(event, metadata, changed)), JSON.stringify(result));
      if (!result.ok) return;
      for (const row of result.rows) {
        const { table, columns } = row.metadata;
        for (const name of [table, ...Object.keys(columns)]) {
          assert.match(name, dialect.isUpperCase ? /^[A-Z_][A-Z0-9_]*$/ : /^[a-z_][a-z0-9_]*$/);
          assert.ok(name.length <= dialect.nameCharactersMax);
        }
        for (const name of Object.keys(row.data)) assert.ok(Object.hasOwn(columns, name), name);
        if (row.metadata.isMergeRule) continue;
        assert.equal(columns[dialect.isUpperCase ? 'UUID_TS' : 'uuid_ts'], 'datetime');
        assert.ok(!Object.hasOwn(row.data, dialect.isUpperCase ? 'UUID_TS' : 'uuid_ts'));
      }
    }),
    { numRuns: 500 },
  );
});
