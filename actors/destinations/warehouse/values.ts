// The type of a column, decided by one value (spec/transformer-and-clients.md 5.5). Types of later values may differ;
// that is resolved when they are loaded (schema-rules.ts).

import type { ColumnType, Dialect } from './dialects.ts';

export interface Cell {
  readonly type: ColumnType;
  readonly value: unknown;
}

const dateCharactersMax = 40;
const startPattern = /^\d{4}-\d\d-\d\d/;
const datePattern =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;
/** Beyond it a whole number fits no integer column of any warehouse. */
const integerMax = 2 ** 63;

export function cellOf(value: unknown, dialect: Dialect): Cell {
  switch (typeof value) {
    case 'number':
      return { type: Number.isInteger(value) && Math.abs(value) < integerMax ? 'int' : 'float', value };
    case 'boolean':
      return { type: 'boolean', value };
    case 'string': {
      const date = normalDate(value);
      if (date !== undefined) return { type: 'datetime', value: date };
      return { type: value.length > dialect.stringCharactersMax ? 'text' : 'string', value };
    }
    default:
      return { type: 'string', value };
  }
}

/** A value that is kept as JSON in one column. */
export function jsonCell(value: unknown, type: ColumnType): Cell {
  return { type, value: JSON.stringify(value) };
}

/** `YYYY-MM-DDTHH:mm:ss.SSSZ` for an ISO date or time of the years 1 to 9999; undefined for anything else. */
export function normalDate(text: string): string | undefined {
  if (text.length > dateCharactersMax || !startPattern.test(text)) return undefined;
  const match = datePattern.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59 || year === '0000') return undefined;
  const local = `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, '0').slice(0, 3)}Z`;
  const ms = Date.parse(local);
  // Date.parse carries 31 February over into March.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== local) return undefined;
  if (zone === 'Z') return local;
  const offset = offsetMs(zone);
  const shifted = offset === undefined ? undefined : new Date(ms - offset).toISOString();
  return shifted !== undefined && /^\d{4}-/.test(shifted) && !shifted.startsWith('0000') ? shifted : undefined;
}

function offsetMs(zone: string): number | undefined {
  if (/^z$/i.test(zone)) return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(':', '') || '0');
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}
