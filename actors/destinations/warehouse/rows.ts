// One event as rows of tables: which tables, which columns, from where (spec/transformer-and-clients.md 5.1 and 5.2).
// Pure: nothing here knows a warehouse, a file or a time but the event's own.

import { type EventObject, isObject } from '../destination.ts';
import { textOf, typeOf, valueAt } from '../event-fields.ts';
import { Columns, type FlattenPlan } from './columns.ts';
import { mergeRows } from './merge-rows.ts';
import { eventName, eventTable, ownName } from './names.ts';
import type { RowInput, RowMetadata, WarehouseRow } from './row.ts';
import { joinedSpread, rowOptions, type WarehouseSettings } from './settings.ts';
import { normalDate } from './values.ts';

export type RowsResult = { ok: true; rows: WarehouseRow[] } | { ok: false; problem: string };

/** More fit no table; lakes have none. */
const columnsMax = 1600;
const cloudDepthMax = 3;
const cloudCategories: ReadonlySet<string> = new Set(['cloud', 'singer-protocol']);

const defaultRules = [
  'id',
  'anonymous_id',
  'user_id',
  'sent_at',
  'timestamp',
  'received_at',
  'original_timestamp',
  'channel',
  'context_ip',
  'context_request_ip',
  'context_passed_ip',
] as const;
/** Set when rows are loaded. */
const loaderColumns = ['uuid_ts', 'loaded_at', 'rudder_event'] as const;
/** Lower case, by type: columns that rules set, which parts of the event cannot. */
const takenColumns: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['track', taken(...defaultRules, 'event', 'event_text')],
  ['extract', taken('id', 'received_at', 'event')],
  ['identify', taken(...defaultRules)],
  ['page', taken(...defaultRules, 'name')],
  ['screen', taken(...defaultRules, 'name')],
  ['group', taken(...defaultRules, 'group_id')],
  ['alias', taken(...defaultRules, 'previous_id')],
  ['merge', taken()],
]);

function taken(...columns: readonly string[]): ReadonlySet<string> {
  return new Set([...columns, ...loaderColumns]);
}

export function warehouseRows(event: EventObject, metadata: RowMetadata, settings: WarehouseSettings): RowsResult {
  const type = typeOf(event);
  const takenByRules = takenColumns.get(type);
  if (takenByRules === undefined) return bad(`Unknown event type: ${JSON.stringify(type.slice(0, 60))}`);
  const given = event.context ?? {};
  if (!isObject(given)) return bad('context is not a map');
  const input: RowInput = {
    event,
    type,
    context: enriched(given, metadata),
    metadata,
    options: rowOptions(event, settings),
    taken: takenByRules,
    receivedAt: receivedAtOf(event, metadata),
  };
  const rows = rowsOf(input);
  return typeof rows === 'string' ? bad(rows) : { ok: true, rows };
}

function rowsOf(input: RowInput): WarehouseRow[] | string {
  const { type } = input;
  if (type === 'merge') return mergeRows(input);
  const tables = tablesOf(input);
  if (typeof tables === 'string') return tables;
  const isCounted = !input.options.dialect.isLake && input.event.channel !== 'sources';
  const rows: WarehouseRow[] = [];
  for (const { table, columns } of tables) {
    if (isCounted && columns.size > columnsMax)
      return `expected at most ${columnsMax} columns in table ${table}, got ${columns.size}`;
    const { columns: types, data } = columns.finish();
    rows.push({ metadata: { table, columns: types, receivedAt: input.receivedAt }, data, userId: '' });
  }
  return type === 'extract' ? rows : [...rows, ...mergeRows(input)];
}

interface Table {
  table: string;
  columns: Columns;
}

function tablesOf(input: RowInput): Table[] | string {
  switch (input.type) {
    case 'track':
      return trackTables(input);
    case 'extract':
      return extractTable(input);
    case 'identify':
      return identifyTables(input);
    default:
      return [plainTable(input)];
  }
}

function trackTables(input: RowInput): Table[] | string {
  const { event, options } = input;
  const { dialect, naming } = options;
  const text = textOf(event.event) ?? '';
  const shared = contextColumns(input);
  shared.rule('event_text', event.event);
  defaults(shared, input);
  shared.rule('event', eventName(text, naming));
  if (cloudCategories.has(input.metadata.sourceCategory)) shared.rule('record_id', event.recordId);
  const tables: Table[] = [];
  if (!options.skipTracksTable) {
    const tracks = shared.copy();
    storeFullEvent(tracks, input);
    tables.push({ table: ownName('tracks', dialect), columns: tracks });
  }
  const table = eventTable(text, dialect, naming);
  if (table === undefined) return tables;
  const columns = new Columns(options);
  flattenPart(columns, input, 'properties');
  flattenPart(columns, input, 'userProperties');
  columns.add(shared);
  const isVersioned = valueAt(input.context, ['sources', 'version']) !== undefined;
  if (cloudCategories.has(input.metadata.sourceCategory) && isVersioned) {
    if (textOf(event.recordId) === undefined) return 'recordId is missing';
    columns.rule('id', event.recordId);
  }
  tables.push({ table, columns });
  return tables;
}

function extractTable(input: RowInput): Table[] | string {
  const { event, options, receivedAt } = input;
  const name = textOf(event.event) ?? '';
  const table = eventTable(name, options.dialect, options.naming);
  if (table === undefined) return 'event is missing';
  const columns = new Columns(options);
  flattenPart(columns, input, 'properties');
  columns.add(contextColumns(input));
  columns.rule('id', event.recordId);
  columns.rule('received_at', receivedAt);
  columns.rule('event', eventName(name, options.naming));
  return [{ table, columns }];
}

function identifyTables(input: RowInput): Table[] {
  const { event, options, context } = input;
  const { dialect } = options;
  const shared = new Columns(options);
  flattenPart(shared, input, 'userProperties');
  if (options.allowUsersContextTraits && isObject(context.traits))
    shared.flatten(context.traits, planFor(input, '', 'context.traits'));
  flattenPart(shared, input, 'traits');
  shared.add(contextColumns(input));
  const identifies = shared.copy();
  defaults(identifies, input);
  storeFullEvent(identifies, input);
  const tables: Table[] = [{ table: ownName('identifies', dialect), columns: identifies }];
  if (textOf(event.userId) === undefined || options.skipUsersTable) return tables;
  addresses(shared, input);
  if (!dialect.isLake) times(shared, input);
  shared.rule('id', event.userId);
  shared.rule('received_at', input.receivedAt);
  tables.push({ table: ownName('users', dialect), columns: shared });
  return tables;
}

const tableNames: ReadonlyMap<string, string> = new Map([
  ['page', 'pages'],
  ['screen', 'screens'],
  ['group', 'groups'],
  ['alias', 'aliases'],
]);

function plainTable(input: RowInput): Table {
  const { event, options, type } = input;
  const columns = new Columns(options);
  flattenPart(columns, input, type === 'page' || type === 'screen' ? 'properties' : 'traits');
  columns.add(contextColumns(input));
  defaults(columns, input);
  if (type === 'group') columns.rule('group_id', event.groupId);
  else if (type === 'alias') columns.rule('previous_id', event.previousId);
  else columns.rule('name', textOf(event.name) ?? valueAt(event, ['properties', 'name']));
  storeFullEvent(columns, input);
  return { table: ownName(tableNames.get(type) ?? type, options.dialect), columns };
}

/** A part of the event whose names become columns as they are. */
function flattenPart(columns: Columns, input: RowInput, part: 'properties' | 'userProperties' | 'traits'): void {
  const value = input.event[part];
  // Traits of a group that some client spread into letters say nothing.
  if (!isObject(value) || (part === 'traits' && joinedSpread(value) !== undefined)) return;
  columns.flatten(value, planFor(input, '', part));
}

function contextColumns(input: RowInput): Columns {
  const { context, options } = input;
  const columns = new Columns(options);
  const traits = joinedSpread(context.traits);
  const whole = traits === undefined ? context : { ...context, traits };
  columns.flatten(whole, { ...planFor(input, 'context', 'context'), taken: nothing });
  return columns;
}

const nothing: ReadonlySet<string> = new Set();

function planFor({ type, taken, metadata }: RowInput, prefix: string, root: string): FlattenPlan {
  const depthMax = metadata.sourceCategory === 'cloud' ? cloudDepthMax : Number.POSITIVE_INFINITY;
  return { prefix, place: `${type}.${root}`, taken, depthMax };
}

function defaults(columns: Columns, input: RowInput): void {
  const { event, metadata, receivedAt } = input;
  columns.rule('id', textOf(event.messageId) ?? metadata.messageId);
  columns.rule('anonymous_id', event.anonymousId);
  columns.rule('user_id', event.userId);
  times(columns, input);
  columns.rule('received_at', receivedAt);
  columns.rule('channel', event.channel);
  addresses(columns, input);
}

function times(columns: Columns, { event }: RowInput): void {
  columns.rule('sent_at', event.sentAt);
  columns.rule('timestamp', event.timestamp);
  columns.rule('original_timestamp', event.originalTimestamp);
}

function addresses(columns: Columns, { event, context }: RowInput): void {
  columns.rule('context_ip', textOf(context.ip) ?? event.request_ip);
  columns.rule('context_request_ip', event.request_ip);
  columns.rule('context_passed_ip', context.ip);
}

function storeFullEvent(columns: Columns, { event, options }: RowInput): void {
  if (options.storeFullEvent) columns.typed('rudder_event', JSON.stringify(event), options.dialect.fullEventType);
}

function enriched(context: EventObject, metadata: RowMetadata): EventObject {
  const { sourceId, sourceType, destinationId, destinationType } = metadata;
  return { ...context, sourceId, sourceType, destinationId, destinationType };
}

function receivedAtOf(event: EventObject, { receivedAtMs }: RowMetadata): string {
  const own = typeof event.receivedAt === 'string' ? normalDate(event.receivedAt) : undefined;
  return own ?? new Date(receivedAtMs).toISOString();
}

function bad(problem: string): RowsResult {
  return { ok: false, problem };
}
