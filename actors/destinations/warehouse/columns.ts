// The columns of one row while it is made: parts of the event are flattened into it, then rules set the columns that mean
// the same in every table. Later writes win (spec/transformer-and-clients.md 5.2 and 5.3).

import { isObject } from '../destination.ts';
import type { ColumnType } from './dialects.ts';
import { columnName, ownName } from './names.ts';
import type { RowOptions } from './settings.ts';
import { type Cell, cellOf, jsonCell } from './values.ts';

export interface FlattenPlan {
  /** Before every name: `context`, or ''. */
  readonly prefix: string;
  /** Where the object stands in the event, for `jsonPaths`: `track.properties`. */
  readonly place: string;
  /** Lower case: columns that rules set, which parts of the event cannot. */
  readonly taken: ReadonlySet<string>;
  /** Objects this deep are kept as JSON. */
  readonly depthMax: number;
}

export class Columns {
  readonly #options: RowOptions;
  readonly #cells: Map<string, Cell>;

  constructor(options: RowOptions, cells: ReadonlyMap<string, Cell> = new Map()) {
    this.#options = options;
    this.#cells = new Map(cells);
  }

  get size(): number {
    return this.#cells.size;
  }

  copy(): Columns {
    return new Columns(this.#options, this.#cells);
  }

  /** Writes of the other win. */
  add(other: Columns): void {
    for (const [name, cell] of other.#cells) this.#cells.set(name, cell);
  }

  flatten(object: Readonly<Record<string, unknown>>, plan: FlattenPlan): void {
    this.#flatten(object, plan, plan.prefix, plan.place, 1);
  }

  /** What stood in the column goes; the value is set when it is a plain one that is not blank. */
  rule(column: string, value: unknown): void {
    const name = ownName(column, this.#options.dialect);
    this.#cells.delete(name);
    if (value === undefined || value === null || typeof value === 'object') return;
    if (typeof value === 'string' && value.trim() === '') return;
    this.#cells.set(name, cellOf(value, this.#options.dialect));
  }

  typed(column: string, value: unknown, type: ColumnType): void {
    this.#cells.set(ownName(column, this.#options.dialect), { type, value });
  }

  /** In the order of names, so that equal events give equal bytes. */
  finish(): { columns: Record<string, ColumnType>; data: Record<string, unknown> } {
    const columns: [string, ColumnType][] = [];
    const data: [string, unknown][] = [];
    for (const name of [...this.#cells.keys()].sort()) {
      const cell = this.#cells.get(name);
      if (cell === undefined) continue;
      columns.push([name, cell.type]);
      data.push([name, cell.value]);
    }
    const { dialect } = this.#options;
    // Their values are set when the row is loaded.
    columns.push([ownName('uuid_ts', dialect), 'datetime']);
    if (dialect.hasLoadedAt) columns.push([ownName('loaded_at', dialect), 'datetime']);
    return { columns: Object.fromEntries(columns), data: Object.fromEntries(data) };
  }

  #flatten(
    object: Readonly<Record<string, unknown>>,
    plan: FlattenPlan,
    path: string,
    place: string,
    depth: number,
  ): void {
    for (const [key, value] of Object.entries(object)) {
      if (isEmpty(value)) continue;
      const name = path === '' ? key : `${path}_${key}`;
      const here = `${place}.${key}`;
      const isJson = this.#options.jsonPlaces.has(here);
      if (isObject(value) && !isJson && depth < plan.depthMax) this.#flatten(value, plan, name, here, depth + 1);
      else this.#set(name, plan, this.#cell(key, value, isJson));
    }
  }

  #cell(key: string, value: unknown, isJson: boolean): Cell {
    const { dialect } = this.#options;
    if (isJson && dialect.jsonPathType !== undefined) return jsonCell(value, dialect.jsonPathType);
    const isViolations = key === 'violationErrors' && (dialect.type === 'POSTGRES' || dialect.type === 'SNOWFLAKE');
    if (isViolations) return jsonCell(value, 'json');
    return isObject(value) ? jsonCell(value, 'string') : cellOf(value, dialect);
  }

  #set(key: string, { taken }: FlattenPlan, cell: Cell): void {
    const { dialect, naming } = this.#options;
    const name = columnName(key, dialect, naming);
    if (name !== undefined && !taken.has(name.toLowerCase())) this.#cells.set(name, cell);
  }
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
