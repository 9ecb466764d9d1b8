// Names of tables and columns, made of whatever clients call their events and properties. Customers' models are written
// against these names, so the rules are those of the field to the letter (spec/transformer-and-clients.md 5.4).

import type { Dialect } from './dialects.ts';

export interface NamingOptions {
  /** `completed_2` instead of `completed2`. */
  readonly dividesNumbers: boolean;
  /** Only lower case, and an underscore for what is no letter or digit. */
  readonly usesBlendoCasing: boolean;
  readonly skipsReservedWords: boolean;
}

/** Tables that are not of an event; one that is called so gets an underscore. */
const ownTables: ReadonlySet<string> = new Set(['tracks', 'pages', 'screens', 'aliases', 'groups', 'accounts']);
const ownTablesAlways: ReadonlySet<string> = new Set(['users', 'identifies']);

const namespaceCharactersMax = 127;

/** The same keys come with every event, and making a name of one costs more than all else about it. */
const knownNames = new WeakMap<Dialect, Map<string, string | undefined>[]>();
const knownNamesMax = 4_000;
const knownKeyCharactersMax = 200;

/** Undefined: nothing of the key can stand in a name, and it gets no column. */
export function columnName(key: string, dialect: Dialect, options: NamingOptions): string | undefined {
  const known = knownNamesOf(dialect, options);
  const name = known.get(key);
  if (name !== undefined || known.has(key)) return name;
  const plain = plainName(key, options);
  const made = plain === '' ? undefined : safeName(plain, dialect, options);
  if (key.length > knownKeyCharactersMax) return made;
  if (known.size >= knownNamesMax) known.clear();
  known.set(key, made);
  return made;
}

function knownNamesOf(dialect: Dialect, options: NamingOptions): Map<string, string | undefined> {
  let byOptions = knownNames.get(dialect);
  if (byOptions === undefined) {
    byOptions = Array.from({ length: 8 }, () => new Map());
    knownNames.set(dialect, byOptions);
  }
  const { dividesNumbers, usesBlendoCasing, skipsReservedWords } = options;
  const index = (dividesNumbers ? 4 : 0) + (usesBlendoCasing ? 2 : 0) + (skipsReservedWords ? 1 : 0);
  return byOptions[index] ?? new Map();
}

/** How an event is called in tables: the value of the column `event`; '' when nothing of its name is left. */
export function eventName(event: string, options: NamingOptions): string {
  return plainName(event, options);
}

/** Undefined: the event gets no table of its own. */
export function eventTable(event: string, dialect: Dialect, options: NamingOptions): string | undefined {
  const name = columnName(eventName(event, options), dialect, options);
  if (name === undefined) return undefined;
  const lower = name.toLowerCase();
  const isTaken = ownTablesAlways.has(lower) || (!options.skipsReservedWords && ownTables.has(lower));
  return isTaken ? `_${name}` : name;
}

/** For names that are ours: they are never escaped or cut. */
export function ownName(name: string, { isUpperCase }: Dialect): string {
  return isUpperCase ? name.toUpperCase() : name;
}

/** The schema that tables are in: what is configured, or the name of the source. */
export function namespace(wanted: string, dialect: Dialect): string {
  const name = plainName(wanted, { dividesNumbers: false, usesBlendoCasing: false, skipsReservedWords: false });
  if (name === '') return ownName('stringempty', dialect);
  const escaped = dialect.reserved.has(name.toUpperCase()) ? `_${name}` : name;
  return ownName(escaped, dialect).slice(0, namespaceCharactersMax);
}

function plainName(key: string, { dividesNumbers, usesBlendoCasing }: NamingOptions): string {
  if (usesBlendoCasing) return startable(key.toLowerCase().replace(/[^a-z0-9]/g, '_'));
  const leading = /^_*/.exec(key)?.[0] ?? '';
  const runs = key.match(/[A-Za-z0-9]+/g);
  if (runs === null) return '';
  const words = runs.flatMap((run) => wordsOf(run, dividesNumbers));
  return startable(`${leading}${words.join('_').toLowerCase()}`);
}

/** `HTTPRequest2Go` → `HTTP`, `Request2`, `Go`: numbers stay with the letters before them unless they are divided. */
function wordsOf(run: string, dividesNumbers: boolean): string[] {
  const humps = run.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/([A-Z])([A-Z][a-z])/g, '$1 $2');
  const divided = dividesNumbers
    ? humps.replace(/([A-Za-z])([0-9])/g, '$1 $2').replace(/([0-9])([A-Za-z])/g, '$1 $2')
    : humps;
  return divided.split(' ');
}

function startable(name: string): string {
  return /^[0-9]/.test(name) ? `_${name}` : name;
}

function safeName(plain: string, dialect: Dialect, { skipsReservedWords }: NamingOptions): string {
  const cut = plain.slice(0, dialect.nameCharactersMax);
  const isReserved = !skipsReservedWords && dialect.reserved.has(cut.toUpperCase());
  return ownName((isReserved ? `_${cut}` : cut).slice(0, dialect.nameCharactersMax), dialect);
}
