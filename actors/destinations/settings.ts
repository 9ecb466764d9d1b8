// Settings of a destination, declared: one table gives how a key of `config` is read, its default, the error that names
// it, and its line in the documentation. What a form of the control plane leaves half filled is no error.

import { isHttpUrl, isObject, type SettingDoc } from './destination.ts';

export interface Setting<T> {
  readonly isRequired: boolean;
  readonly doc: string;
  read(value: unknown, key: string): Reading<T>;
}

type Reading<T> = { ok: true; value: T } | { ok: false; problem: string };

export type SettingsShape = Readonly<Record<string, Setting<unknown>>>;
export type SettingValues<S extends SettingsShape> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

export function readSettings<S extends SettingsShape>(
  shape: S,
  config: Readonly<Record<string, unknown>>,
): Reading<SettingValues<S>> {
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(shape)) {
    const reading = setting.read(Object.hasOwn(config, key) ? config[key] : undefined, key);
    if (!reading.ok) return reading;
    values[key] = reading.value;
  }
  return { ok: true, value: values as SettingValues<S> };
}

export function settingDocs(shape: SettingsShape): SettingDoc[] {
  return Object.entries(shape).map(([key, { isRequired, doc }]) => ({ key, isRequired, doc }));
}

/** A text; without `fallback` it must be there. */
export function text(doc: string, fallback?: string): Setting<string> {
  return {
    isRequired: fallback === undefined,
    doc,
    read(value, key) {
      if (isAbsent(value)) return fallback === undefined ? missing(key) : good(fallback);
      if (typeof value !== 'string' && typeof value !== 'number') return wrong(key, 'a text', value);
      const trimmed = String(value).trim();
      return controlPattern.test(trimmed) ? wrong(key, 'a text in one line', value) : good(trimmed);
    },
  };
}

/** A text that may have several lines, as certificates do. */
export function lines(doc: string, fallback?: string): Setting<string> {
  return {
    isRequired: fallback === undefined,
    doc,
    read(value, key) {
      if (isAbsent(value)) return fallback === undefined ? missing(key) : good(fallback);
      return typeof value === 'string' ? good(value.trim()) : wrong(key, 'a text', value);
    },
  };
}

export function url(doc: string, fallback?: string): Setting<string> {
  const inner = text(doc, fallback);
  return {
    ...inner,
    read(value, key) {
      const reading = inner.read(value, key);
      if (!reading.ok || isHttpUrl(reading.value)) return reading;
      return wrong(key, 'an http or https URL', value);
    },
  };
}

/** One of `values`, in any case; the first is the default. */
export function oneOf<const T extends string>(doc: string, values: readonly [T, ...T[]]): Setting<T> {
  return {
    isRequired: false,
    doc: `${doc}: ${values.map((value) => `\`${value}\``).join(', ')}`,
    read(value, key) {
      if (isAbsent(value)) return good(values[0]);
      const found = values.find((one) => one.toLowerCase() === String(value).trim().toLowerCase());
      return found === undefined ? wrong(key, `one of ${values.join(', ')}`, value) : good(found);
    },
  };
}

export function flag(doc: string, fallback = false): Setting<boolean> {
  return {
    isRequired: false,
    doc,
    read(value, key) {
      if (isAbsent(value)) return good(fallback);
      if (value === true || value === 'true') return good(true);
      return value === false || value === 'false' ? good(false) : wrong(key, 'true or false', value);
    },
  };
}

/** A list of objects of texts, as forms give them: `[{from: 'a', to: 'b'}]`. Rows without the first field are left out. */
export function rows<const F extends string>(doc: string, fields: readonly [F, ...F[]]): Setting<Record<F, string>[]> {
  return {
    isRequired: false,
    doc: `${doc} (\`[{${fields.join(', ')}}]\`)`,
    read(value, key) {
      if (isAbsent(value)) return good([]);
      if (!Array.isArray(value)) return wrong(key, 'a list', value);
      const found = value.filter(isObject).map((row) => {
        const entries = fields.map((field): [string, string] => [field, cellOf(row, field)]);
        return Object.fromEntries(entries) as Record<F, string>;
      });
      return good(found.filter((row) => row[fields[0]] !== ''));
    },
  };
}

/** A list of texts, each in an object of one field: `[{trait: 'plan'}]`. */
export function names<const F extends string>(doc: string, field: F): Setting<string[]> {
  const inner = rows(doc, [field]);
  return {
    ...inner,
    read(value, key) {
      const reading = inner.read(value, key);
      return reading.ok ? good(reading.value.map((row) => row[field])) : reading;
    },
  };
}

const controlPattern = /\p{Cc}/u;
const shownCharactersMax = 60;

function cellOf(row: Record<string, unknown>, field: string): string {
  const value = Object.hasOwn(row, field) ? row[field] : undefined;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value).trim()
    : '';
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
}

function good<T>(value: T): Reading<T> {
  return { ok: true, value };
}

function missing(key: string): { ok: false; problem: string } {
  return { ok: false, problem: `${key} is missing` };
}

/** Texts may be secrets, so only what is none is shown. */
function wrong(key: string, expected: string, value: unknown): { ok: false; problem: string } {
  const isChoice = expected.startsWith('one of') || expected.startsWith('true');
  const shown = isChoice ? JSON.stringify(value)?.slice(0, shownCharactersMax) : kindOf(value);
  return { ok: false, problem: `expected ${key} to be ${expected}, got ${shown ?? 'nothing'}` };
}

function kindOf(value: unknown): string {
  if (typeof value === 'string') return 'another text';
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
}
