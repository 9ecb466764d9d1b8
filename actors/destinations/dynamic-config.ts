// Settings of the form `{{ path || default }}`, filled in per event (spec/transformer-and-clients.md 1.8). The value
// that was found is taken out of the event, as the field does it: it was sent along as a setting, not as data.

import { type EventObject, isObject } from './destination.ts';

/** Only words and dots in the path, so a setting that merely holds braces stays a plain text. */
const templatePattern = /^\s*\{\{\s*([\w.]+)\s*\|\|(.*)\}\}\s*$/s;

export interface Template {
  /** Path inside the event or the metadata. */
  readonly path: readonly string[];
  readonly root: 'event' | 'metadata';
  readonly fallback: string;
}

/** The template in a setting, or undefined when it is a plain text. */
export function parseTemplate(setting: string): Template | undefined {
  const match = templatePattern.exec(setting);
  if (match === null) return undefined;
  const [root = '', ...path] = (match[1] ?? '').split('.');
  const fallback = unquote((match[2] ?? '').trim());
  return { root: root === 'metadata' ? 'metadata' : 'event', path, fallback };
}

export interface Filled {
  value: string;
  /** The path was there and has a value; only then it is removed. */
  found: boolean;
}

export function fillTemplate(template: Template, event: EventObject, metadata: object): Filled {
  let value: unknown = template.root === 'metadata' ? metadata : event;
  for (const name of template.path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return { value: template.fallback, found: false };
    value = value[name];
  }
  if (value === undefined || value === null || value === '') return { value: template.fallback, found: false };
  return { value: typeof value === 'object' ? JSON.stringify(value) : String(value), found: true };
}

/** A copy of the event without the values the templates took. */
export function withoutTaken(event: EventObject, taken: readonly Template[]): EventObject {
  const copy = structuredClone(event);
  for (const { root, path } of taken) {
    const last = path.at(-1);
    if (root !== 'event' || last === undefined) continue;
    let holder: unknown = copy;
    for (const name of path.slice(0, -1)) holder = isObject(holder) ? holder[name] : undefined;
    if (isObject(holder)) delete holder[last];
  }
  return copy;
}

function unquote(text: string): string {
  const match = /^(["'])(.*)\1$/s.exec(text);
  return match === null ? text : (match[2] ?? '');
}
