// Declares settings: one table gives the types, the defaults, the checks and the documentation, so that none of them
// can drift from the others. The table is read by config-load.ts once at start; nothing reads settings any later.

import { environmentName, flagName } from './config-names.ts';

const settingBrand: unique symbol = Symbol('setting');

/** Where a raw value comes from: text (environment, flags) or a typed scalar (a file). */
export type RawForm = 'text' | 'typed';

export interface Setting<Value> {
  readonly [settingBrand]: true;
  readonly type: 'integer' | 'text' | 'boolean' | 'choice' | 'list';
  readonly default: Value;
  readonly doc: string;
  /** The value is never printed: not in faults, not in documentation, not in the start banner. */
  readonly secret: boolean;
  /** Shown instead of a default that depends on the machine. */
  readonly defaultText: string | undefined;
  /** What a good value is, to complete the sentence "expected …". */
  readonly expected: string;
  /** The value, or undefined when `raw` is not a good one. */
  parse(raw: unknown, form: RawForm): Value | undefined;
}

export interface ConfigTable {
  readonly [name: string]: Setting<unknown> | ConfigTable;
}

/** Typed, nested settings of a table. */
export type SettingsOf<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends Setting<infer Value> ? Value : SettingsOf<Table[Name]>;
};

/** Something that must hold between settings, each of which is fine by itself. */
export interface Relation<Settings> {
  /** Paths it speaks of; it is checked only when all of them are free of faults. */
  readonly paths: readonly string[];
  readonly expected: string;
  holds(settings: Settings): boolean;
}

export interface ConfigSchema<Table extends ConfigTable> {
  readonly table: Table;
  /** Every setting by its dotted path, in the order of the table. */
  readonly settings: ReadonlyMap<string, Setting<unknown>>;
  readonly relations: readonly Relation<SettingsOf<Table>>[];
}

export type ConfigOf<Schema> = Schema extends ConfigSchema<infer Table> ? SettingsOf<Table> : never;

interface CommonOptions {
  doc: string;
  secret?: boolean;
  defaultText?: string;
}

export interface IntegerOptions extends CommonOptions {
  default: number;
  min: number;
  max: number;
}

export interface TextOptions extends CommonOptions {
  default: string;
}

export interface ListOptions extends CommonOptions {
  default: readonly string[];
  /** What one entry is, in the plural, to complete "expected a list of …". */
  of: string;
  isGood(entry: string): boolean;
}

export interface BooleanOptions extends CommonOptions {
  default: boolean;
}

export interface ChoiceOptions<Value extends string> extends CommonOptions {
  default: NoInfer<Value>;
}

export function integer(options: IntegerOptions): Setting<number> {
  const { min, max } = options;
  return setting('integer', options, `an integer from ${min} to ${max}`, (raw, form) => {
    const isText = form === 'text' && typeof raw === 'string' && /^-?\d{1,16}$/.test(raw);
    const value = isText ? Number(raw) : raw;
    const isGood = typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max;
    return isGood ? value : undefined;
  });
}

/** A text may be empty only if its default is: an empty host or folder is always a mistake. */
export function text(options: TextOptions): Setting<string> {
  const mayBeEmpty = options.default === '';
  return setting('text', options, mayBeEmpty ? 'a text' : 'a text that is not empty', (raw) =>
    typeof raw === 'string' && (mayBeEmpty || raw !== '') ? raw : undefined,
  );
}

/** Texts separated by commas; in a file also a list of texts. */
export function list(options: ListOptions): Setting<readonly string[]> {
  const expected = `a list of ${options.of}, separated by commas`;
  return setting<readonly string[]>('list', options, expected, (raw, form) => {
    const entries = typeof raw === 'string' ? raw.split(',').map((entry) => entry.trim()) : raw;
    if (!Array.isArray(entries) || (form === 'text' && typeof raw !== 'string')) return undefined;
    const given = entries.filter((entry) => entry !== '');
    return given.every((entry) => typeof entry === 'string' && options.isGood(entry)) ? given : undefined;
  });
}

export function boolean(options: BooleanOptions): Setting<boolean> {
  return setting('boolean', options, 'true or false', (raw, form) => {
    if (typeof raw === 'boolean') return raw;
    if (form === 'typed') return undefined;
    if (raw === 'true') return true;
    return raw === 'false' ? false : undefined;
  });
}

export function choice<const Value extends string>(
  values: readonly Value[],
  options: ChoiceOptions<Value>,
): Setting<Value> {
  return setting<Value>('choice', options, `one of ${values.join(', ')}`, (raw) =>
    values.find((value) => value === raw),
  );
}

/** Checks the table itself: a name clash or a default that its own check refuses is our mistake, found at import. */
export function defineConfig<const Table extends ConfigTable>(
  table: Table,
  relations: readonly Relation<SettingsOf<Table>>[] = [],
): ConfigSchema<Table> {
  const settings = new Map(settingsIn(table, ''));
  const pathByEnvironmentName = new Map<string, string>();
  for (const [path, entry] of settings) {
    const name = environmentName(path);
    const other = pathByEnvironmentName.get(name);
    if (other !== undefined) throw new TypeError(`settings ${other} and ${path} share the environment name ${name}`);
    pathByEnvironmentName.set(name, path);
    if (entry.parse(entry.default, 'typed') === undefined) {
      throw new TypeError(`setting ${path}: expected its default to be ${entry.expected}`);
    }
  }
  for (const path of relations.flatMap((relation) => relation.paths)) {
    if (!settings.has(path)) throw new TypeError(`a relation speaks of ${path}, which is no setting`);
  }
  return Object.freeze({ table, settings, relations });
}

export function isSetting(node: Setting<unknown> | ConfigTable): node is Setting<unknown> {
  return settingBrand in node;
}

/** One setting as documentation shows it. */
export interface ConfigRow {
  path: string;
  environment: string;
  flag: string;
  type: Setting<unknown>['type'];
  /** Good values in words: `an integer from 0 to 65535`. */
  expected: string;
  default: string;
  secret: boolean;
  doc: string;
}

export function describeConfig<Table extends ConfigTable>(schema: ConfigSchema<Table>): ConfigRow[] {
  return [...schema.settings].map(([path, entry]) => ({
    path,
    environment: environmentName(path),
    flag: flagName(path),
    type: entry.type,
    expected: entry.expected,
    default: entry.defaultText ?? (entry.secret && entry.default !== '' ? '(hidden)' : String(entry.default)),
    secret: entry.secret,
    doc: entry.doc,
  }));
}

function setting<Value>(
  type: Setting<Value>['type'],
  options: CommonOptions & { default: Value },
  expected: string,
  parse: Setting<Value>['parse'],
): Setting<Value> {
  return Object.freeze({
    [settingBrand]: true as const,
    type,
    default: options.default,
    doc: options.doc,
    secret: options.secret ?? false,
    defaultText: options.defaultText,
    expected,
    parse,
  });
}

function* settingsIn(table: ConfigTable, prefix: string): Generator<[string, Setting<unknown>]> {
  for (const [name, node] of Object.entries(table)) {
    if (!/^[a-z][A-Za-z0-9]*$/.test(name)) throw new TypeError(`expected the name ${prefix}${name} to be in camelCase`);
    const path = prefix + name;
    if (isSetting(node)) yield [path, node];
    else yield* settingsIn(node, `${path}.`);
  }
}
