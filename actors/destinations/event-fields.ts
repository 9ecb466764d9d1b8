// Reading an event that anybody may have written: every field may be missing or of another type. Own properties only,
// so that an event can never reach what objects inherit.

import { type EventMetadata, type EventObject, isObject } from './destination.ts';

const noFields: EventObject = Object.freeze({});

/** What stands at a path of names; undefined when a name on the way is missing. */
export function valueAt(event: EventObject, path: readonly string[]): unknown {
  let value: unknown = event;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** A text that is not blank, or a number as text, at `a.b.c`. */
export function textAt(event: EventObject, path: string): string | undefined {
  return textOf(valueAt(event, pathOf(path)));
}

export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}

/** A number, or a text that is one. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

/** Trimmed and lower case; '' when there is none. */
export function typeOf(event: EventObject): string {
  return typeof event.type === 'string' ? event.type.trim().toLowerCase() : '';
}

export function objectAt(event: EventObject, path: string): EventObject {
  const value = valueAt(event, pathOf(path));
  return isObject(value) ? value : noFields;
}

export function propertiesOf(event: EventObject): EventObject {
  return isObject(event.properties) ? event.properties : noFields;
}

/** Traits of the event itself win over those its context carries along. */
export function traitsOf(event: EventObject): EventObject {
  const carried = objectAt(event, 'context.traits');
  return isObject(event.traits) ? { ...carried, ...event.traits } : carried;
}

/** The name of a page or screen: its own field, or the property. */
export function pageNameOf(event: EventObject): string | undefined {
  return textOf(event.name) ?? textAt(event, 'properties.name');
}

/** When it happened; when that cannot be read, when it came. */
export function timeMsOf(event: EventObject, { receivedAtMs }: EventMetadata): number {
  for (const value of [event.timestamp, event.originalTimestamp]) {
    const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
    if (!Number.isNaN(ms)) return ms;
  }
  return receivedAtMs;
}

export function isoTimeOf(event: EventObject, metadata: EventMetadata): string {
  return new Date(timeMsOf(event, metadata)).toISOString();
}

/** The object without what is undefined, so that two of them can be compared and merged. */
export function present(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Fields of the event under the vendor's names, where the event has them. `names`: the vendor's name → path. */
export function renamed(event: EventObject, names: Readonly<Record<string, string>>): Record<string, unknown> {
  const entries: [string, unknown][] = [];
  for (const [name, path] of Object.entries(names)) {
    const value = valueAt(event, pathOf(path));
    if (value !== undefined && value !== null && value !== '') entries.push([name, value]);
  }
  return Object.fromEntries(entries);
}

/** Paths stand in our code and in settings, so there are few; events that bring settings along could bring more. */
const knownPaths = new Map<string, readonly string[]>();
const knownPathsMax = 1_000;

function pathOf(text: string): readonly string[] {
  let path = knownPaths.get(text);
  if (path === undefined) {
    path = text.split('.');
    if (knownPaths.size >= knownPathsMax) knownPaths.clear();
    knownPaths.set(text, path);
  }
  return path;
}
