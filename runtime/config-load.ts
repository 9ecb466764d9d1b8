// Reads settings from their sources: defaults < file < environment < flags. It never stops at the first mistake: the
// operator sees every fault of every source at once, each with where it stands, what was expected and what was got.
// Values of secrets, and of anything that could be a secret in the wrong place, never enter a fault.

import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLMap } from 'yaml';
import {
  type ConfigSchema,
  type ConfigTable,
  isSetting,
  type RawForm,
  type Setting,
  type SettingsOf,
} from './config.ts';
import { environmentName, environmentPrefix, isServiceLink, nearestName } from './config-names.ts';

/** Names under the prefix that are read before the table can be: they say where the file is. */
export const reservedEnvironmentNames: readonly string[] = [`${environmentPrefix}CONFIG`];

const gotCharactersMax = 80;

export interface ConfigSources {
  file?: { path: string; text: string };
  environment: Readonly<Record<string, string | undefined>>;
  /** Command line after the command: `--gateway.port=0`, `--gateway.port 0`; a boolean may stand alone. */
  flags: readonly string[];
}

export interface ConfigFault {
  /** Dotted path of the setting, or the unknown name as it was written. */
  path: string;
  /** Where it stands: `sluice.yaml line 4`, `environment SLUICE_GATEWAY_PORT`, `flag --gateway.port`. */
  source: string;
  expected: string;
  got: string;
  /** What to do about it, as a sentence. */
  hint?: string;
}

export type ConfigResult<Settings> =
  | {
      ok: true;
      settings: Settings /** Path → source, for settings that are not at their default. */;
      origins: ReadonlyMap<string, string>;
    }
  | { ok: false; faults: ConfigFault[] };

export function loadConfig<const Table extends ConfigTable>(
  schema: ConfigSchema<Table>,
  sources: ConfigSources,
): ConfigResult<SettingsOf<Table>> {
  const reading: Reading = { settings: schema.settings, values: new Map(), origins: new Map(), faults: [] };
  if (sources.file !== undefined) readFile(reading, schema.table, sources.file);
  readEnvironment(reading, sources.environment);
  readFlags(reading, sources.flags);
  const settings = assemble(schema.table, '', reading.values) as SettingsOf<Table>;
  checkRelations(reading, schema, settings);
  if (reading.faults.length > 0) return { ok: false, faults: reading.faults };
  return { ok: true, settings, origins: reading.origins };
}

/** All faults as text for a terminal, one per line. */
export function formatConfigFaults(faults: readonly ConfigFault[]): string {
  const lines = faults.map((fault) => {
    const place = fault.path === '' ? '' : `${fault.path}: `;
    const hint = fault.hint === undefined ? '' : `. ${fault.hint}`;
    return `  - ${place}expected ${fault.expected}, got ${fault.got} (${fault.source})${hint}`;
  });
  return `Bad configuration, ${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}:\n${lines.join('\n')}\n`;
}

interface Reading {
  readonly settings: ReadonlyMap<string, Setting<unknown>>;
  readonly values: Map<string, unknown>;
  readonly origins: Map<string, string>;
  readonly faults: ConfigFault[];
}

function take(
  reading: Reading,
  path: string,
  setting: Setting<unknown>,
  raw: unknown,
  form: RawForm,
  source: string,
): void {
  const value = setting.parse(raw, form);
  if (value === undefined) {
    const got = setting.secret ? '(hidden)' : shown(raw);
    reading.faults.push({ path, source, expected: setting.expected, got });
    return;
  }
  reading.values.set(path, value);
  reading.origins.set(path, source);
}

interface FileWalk {
  reading: Reading;
  document: Document;
  sourceAt(offset: number): string;
}

function readFile(reading: Reading, table: ConfigTable, file: { path: string; text: string }): void {
  const lines = new LineCounter();
  // The library's pretty messages quote the file, which may hold secrets; its codes do not.
  const document = parseDocument(file.text, { lineCounter: lines, prettyErrors: false });
  const sourceAt = (offset: number): string => `${file.path} line ${lines.linePos(offset).line}`;
  for (const error of document.errors) {
    const got = error.code.toLowerCase().replaceAll('_', ' ');
    reading.faults.push({ path: '', source: sourceAt(error.pos[0]), expected: 'valid YAML', got });
  }
  if (document.errors.some((error) => error.code !== 'DUPLICATE_KEY')) return;
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) return;
  if (isMap(document.contents)) {
    walkTable({ reading, document, sourceAt }, table, document.contents, '');
    return;
  }
  reading.faults.push({ path: '', source: file.path, expected: 'a table of settings', got: 'something else' });
}

function walkTable(walk: FileWalk, table: ConfigTable, map: YAMLMap, prefix: string): void {
  for (const pair of map.items) {
    const name = isScalar(pair.key) ? String(pair.key.value) : '(not a text)';
    const offset = isScalar(pair.key) ? (pair.key.range?.[0] ?? 0) : (map.range?.[0] ?? 0);
    const source = walk.sourceAt(offset);
    const path = prefix + name;
    const entry = Object.hasOwn(table, name) ? table[name] : undefined;
    const node = isAlias(pair.value) ? pair.value.resolve(walk.document) : pair.value;
    if (entry === undefined) {
      walk.reading.faults.push(unknownName(walk.reading, path, source, Object.keys(table), prefix));
    } else if (isSetting(entry)) {
      const raw = isScalar(node) ? node.value : isSeq(node) ? node.toJS(walk.document) : (node ?? null);
      take(walk.reading, path, entry, raw, 'typed', source);
    } else if (isMap(node)) {
      walkTable(walk, entry, node, `${path}.`);
    } else if (node !== null && !(isScalar(node) && node.value === null)) {
      walk.reading.faults.push({ path, source, expected: 'a table of settings', got: 'a single value' });
    }
  }
}

function readEnvironment(reading: Reading, environment: ConfigSources['environment']): void {
  const pathByName = new Map([...reading.settings.keys()].map((path) => [environmentName(path), path]));
  const known = [...pathByName.keys(), ...reservedEnvironmentNames];
  for (const name of Object.keys(environment).sort()) {
    const raw = environment[name];
    if (raw === undefined || !name.startsWith(environmentPrefix) || reservedEnvironmentNames.includes(name)) continue;
    const source = `environment ${name}`;
    const path = pathByName.get(name);
    const setting = path === undefined ? undefined : reading.settings.get(path);
    if (path !== undefined && setting !== undefined) {
      const faultsBefore = reading.faults.length;
      take(reading, path, setting, raw, 'text', source);
      const fault = reading.faults[faultsBefore];
      if (fault !== undefined && isServiceLink(name, raw)) {
        fault.hint =
          'Kubernetes set this because of a Service of the same name: set enableServiceLinks: false on the pod';
      }
    } else if (!isServiceLink(name, raw)) {
      const nearest = nearestName(name, known);
      reading.faults.push(
        withHint({ path: name, source, expected: 'the name of a setting', got: 'an unknown name' }, nearest),
      );
    }
  }
}

function readFlags(reading: Reading, flags: readonly string[]): void {
  for (let index = 0; index < flags.length; index += 1) {
    const argument = flags[index] ?? '';
    const next = flags[index + 1];
    if (!argument.startsWith('--') || argument === '--') {
      // Its text is not repeated: it may be the value of a secret whose flag was mistyped.
      const source = `argument ${index + 1} after the command`;
      reading.faults.push({ path: '', source, expected: 'a flag that begins with --', got: 'something else' });
      continue;
    }
    const equals = argument.indexOf('=');
    const written = argument.slice(2, equals === -1 ? undefined : equals);
    // What is no name at all may be a secret that slipped: it is not repeated.
    const path = /^[\w.-]{1,80}$/.test(written) ? written : '(not a name)';
    const setting = reading.settings.get(path);
    const nextIsValue = equals === -1 && next !== undefined && !next.startsWith('--');
    const source = `flag --${path}`;
    if (setting === undefined) {
      reading.faults.push(unknownName(reading, path, source, [], ''));
      if (nextIsValue) index += 1;
    } else if (equals !== -1) {
      take(reading, path, setting, argument.slice(equals + 1), 'text', source);
    } else if (setting.type === 'boolean' && !(next === 'true' || next === 'false')) {
      take(reading, path, setting, true, 'typed', source);
    } else if (nextIsValue) {
      take(reading, path, setting, next, 'text', source);
      index += 1;
    } else {
      reading.faults.push({ path, source, expected: setting.expected, got: 'no value' });
    }
  }
}

function unknownName(reading: Reading, path: string, source: string, siblings: string[], prefix: string): ConfigFault {
  const fault = { path, source, expected: 'the name of a setting', got: 'an unknown name' };
  if (prefix === '' && siblings.length > 0 && reading.settings.has(path)) {
    return { ...fault, hint: 'In a file, settings are nested: one level of indentation instead of each dot' };
  }
  const name = path.slice(prefix.length);
  const sibling = nearestName(name, siblings);
  if (sibling !== undefined) return withHint(fault, prefix + sibling);
  // The right name in the wrong table.
  const moved = [...reading.settings.keys()].find((known) => known.endsWith(`.${name}`));
  return withHint(fault, moved ?? nearestName(path, reading.settings.keys()));
}

function withHint(fault: ConfigFault, nearest: string | undefined): ConfigFault {
  return nearest === undefined ? fault : { ...fault, hint: `Did you mean ${nearest}?` };
}

function checkRelations<Table extends ConfigTable>(
  reading: Reading,
  schema: ConfigSchema<Table>,
  settings: SettingsOf<Table>,
): void {
  const faulty = new Set(reading.faults.map((fault) => fault.path));
  for (const relation of schema.relations) {
    if (relation.paths.some((path) => faulty.has(path)) || relation.holds(settings)) continue;
    const got = relation.paths.map((path) => {
      const setting = reading.settings.get(path);
      const value = reading.values.get(path) ?? setting?.default;
      return `${path} = ${setting?.secret ? '(hidden)' : shown(value)}`;
    });
    const sources = new Set(relation.paths.map((path) => reading.origins.get(path) ?? 'default'));
    reading.faults.push({
      path: relation.paths.join(', '),
      source: [...sources].join(', '),
      expected: relation.expected,
      got: got.join(', '),
    });
  }
}

function assemble(table: ConfigTable, prefix: string, values: ReadonlyMap<string, unknown>): unknown {
  const entries = Object.entries(table).map(([name, node]) => {
    const path = prefix + name;
    if (!isSetting(node)) return [name, assemble(node, `${path}.`, values)];
    return [name, values.has(path) ? values.get(path) : node.default];
  });
  return Object.freeze(Object.fromEntries(entries));
}

function shown(value: unknown): string {
  if (value === null) return 'nothing';
  if (typeof value === 'object') return 'a list or table';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= gotCharactersMax ? text : `${text.slice(0, gotCharactersMax)}…`;
}
