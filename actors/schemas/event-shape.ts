// The shape of one event: which paths it has and of which types, never what stands there. Whatever a client sends, the
// shape is bounded: in keys, in depth, in the length of a path, and in how far into a list is looked.

import { isObject } from '../destinations/destination.ts';

export type ValueType = 'string' | 'number' | 'boolean' | 'null' | 'array' | 'object';

export interface EventShape {
  /** `properties.total` → its type; several of a list's items joined by `|`. Dots in names are `\.`; items are `[]`. */
  paths: Map<string, string>;
  /** There was more than was looked at. */
  isCut: boolean;
}

const depthMax = 12;
const pathCharactersMax = 200;
const itemsMax = 10;

export function shapeOf(event: Readonly<Record<string, unknown>>, keysMax: number): EventShape {
  const shape: EventShape = { paths: new Map(), isCut: false };
  addKeys(shape, '', event, 1, keysMax);
  return shape;
}

function addKeys(
  shape: EventShape,
  prefix: string,
  object: Readonly<Record<string, unknown>>,
  depth: number,
  keysMax: number,
): void {
  if (depth > depthMax) {
    shape.isCut = true;
    return;
  }
  for (const name in object) {
    if (shape.paths.size >= keysMax) {
      shape.isCut = true;
      return;
    }
    addValue(shape, prefix + escapeName(name), object[name], depth, keysMax);
  }
}

function addValue(shape: EventShape, path: string, value: unknown, depth: number, keysMax: number): void {
  if (path.length > pathCharactersMax) {
    shape.isCut = true;
    return;
  }
  if (isObject(value)) {
    const before = shape.paths.size;
    addKeys(shape, `${path}.`, value, depth + 1, keysMax);
    if (shape.paths.size === before) addType(shape, path, 'object');
  } else if (Array.isArray(value)) {
    addType(shape, path, 'array');
    if (value.length > itemsMax) shape.isCut = true;
    for (const item of value.slice(0, itemsMax)) {
      if (shape.paths.size < keysMax) addValue(shape, `${path}[]`, item, depth + 1, keysMax);
    }
  } else addType(shape, path, typeOf(value));
}

function addType({ paths }: EventShape, path: string, type: ValueType): void {
  const known = paths.get(path);
  if (known === undefined) paths.set(path, type);
  else if (!known.split('|').includes(type)) paths.set(path, [...known.split('|'), type].sort().join('|'));
}

/** Of values that a JSON parser gives, exact integers of any size among them. */
function typeOf(value: unknown): ValueType {
  if (value === null) return 'null';
  if (typeof value === 'string' || typeof value === 'boolean') return typeof value as ValueType;
  return 'number';
}

/** Also what the database's text cannot hold. */
function escapeName(name: string): string {
  return /[.\\[\]\0]/.test(name) ? name.replaceAll(/[.\\[\]]/g, '\\$&').replaceAll('\0', '') : name;
}
