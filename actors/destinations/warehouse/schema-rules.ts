// What happens when a value meets a column that has another type already, and when schemas of several rows become one
// (spec/delivery.md 3.4 and 3.6). The column's type stays; what cannot be made of it is kept beside the table.

import type { ColumnType } from './dialects.ts';

export type Schema = Record<string, ColumnType>;

/** First seen wins, except that a text has room for what a string has. */
export function mergedType(known: ColumnType | undefined, next: ColumnType): ColumnType {
  if (known === undefined) return next;
  return known === 'string' && next === 'text' ? 'text' : known;
}

/** Adds the columns of a row to what is known of its table. */
export function mergeSchema(known: Schema, columns: Readonly<Schema>): void {
  for (const [column, type] of Object.entries(columns))
    known[column] = mergedType(Object.hasOwn(known, column) ? known[column] : undefined, type);
}

export type Coerced = { ok: true; value: unknown } | { ok: false };

/** The value as the column takes it; not ok: the cell stays empty, and the value becomes a discard. */
export function coerce(value: unknown, from: ColumnType, to: ColumnType): Coerced {
  if (value === null || value === undefined || from === to) return { ok: true, value };
  if (to === 'string' || to === 'text') {
    if (from === 'string' || from === 'text' || from === 'json') return { ok: true, value };
    return { ok: true, value: String(value) };
  }
  if (to === 'float' && from === 'int') return { ok: true, value };
  if (to === 'int' && from === 'float' && typeof value === 'number') return { ok: true, value: Math.trunc(value) };
  if (to === 'json') return { ok: true, value: jsonOf(value, from) };
  return { ok: false };
}

function jsonOf(value: unknown, from: ColumnType): unknown {
  if (Array.isArray(value)) return value;
  return from === 'int' || from === 'float' || from === 'boolean' ? String(value) : JSON.stringify(value);
}

export interface Discard {
  table_name: string;
  row_id: string;
  column_name: string;
  column_value: string;
  received_at: string;
  reason: string;
}

/** A row of `rudder_discards`; undefined when the row it is of cannot be named. */
export function discardOf(
  table: string,
  column: string,
  data: Readonly<Record<string, unknown>>,
  types: { from: ColumnType; to: ColumnType },
): Discard | undefined {
  const find = (name: string): unknown => data[name] ?? data[name.toUpperCase()];
  const id = find('id');
  const receivedAt = find('received_at');
  if (id === undefined || receivedAt === undefined) return undefined;
  const value = data[column];
  return {
    table_name: table,
    row_id: String(id),
    column_name: column,
    column_value: typeof value === 'object' ? JSON.stringify(value) : String(value),
    received_at: String(receivedAt),
    reason: `incompatible schema conversion from ${types.to} to ${types.from}`,
  };
}
