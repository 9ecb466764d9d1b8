// Reads the text of a workspace file: RudderStack's workspaceConfig.json shape, as JSON or YAML, of one workspace or
// of several. Pure: text and environment in, sources or faults out. Lenient about what we do not use (unknown keys,
// missing optional ones, key case), strict about what would lose or misroute events, and it lists every fault at once.
// Faults name kinds of values, never values: the file is full of write keys and destination secrets.

import { createHash } from 'node:crypto';
import { LineCounter, parseDocument } from 'yaml';
import type { DestinationConfig, SourceConfig } from './workspace.ts';
import { isTable } from './workspace-keys.ts';
import { type LocatedSource, readWorkspace, type WorkspaceEntry, type WorkspaceFault } from './workspace-schema.ts';

export type WorkspaceReading = { ok: true; sources: SourceConfig[] } | { ok: false; faults: WorkspaceFault[] };

export interface WorkspaceContent {
  /** Only its extension matters: `.json` is read as JSON, `.yaml` and `.yml` as YAML, anything else by its first character. */
  path: string;
  bytes: Uint8Array;
  environment: Readonly<Record<string, string | undefined>>;
}

export function parseWorkspaceFile({ path, bytes, environment }: WorkspaceContent): WorkspaceReading {
  const faults: WorkspaceFault[] = [];
  const content = parseText(path, decodeText(bytes, faults), faults);
  if (faults.length > 0) return { ok: false, faults };
  const replaced = replaceEnvironment(content, '', environment, faults);
  const sources = workspacesIn(replaced).flatMap((entry) => readWorkspace(entry, faults));
  checkUniqueness(sources, faults);
  if (faults.length > 0) return { ok: false, faults };
  return { ok: true, sources: sources.map(({ source }) => source) };
}

/** Faults in a file beyond this number are counted, not written out. */
const faultsListedMax = 100;

export function formatWorkspaceFaults(faults: readonly WorkspaceFault[], separator = '; '): string {
  const lines = faults
    .slice(0, faultsListedMax)
    .map(({ path, expected, got }) => `${path === '' ? '' : `${path}: `}expected ${expected}, got ${got}`);
  if (faults.length > faultsListedMax) lines.push(`and ${faults.length - faultsListedMax} more`);
  return lines.join(separator);
}

function decodeText(bytes: Uint8Array, faults: WorkspaceFault[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    faults.push({ path: '', expected: 'UTF-8', got: 'other bytes' });
    return '';
  }
}

function parseText(path: string, text: string, faults: WorkspaceFault[]): unknown {
  if (faults.length > 0) return undefined;
  const isJson = /\.json$/i.test(path) || (!/\.ya?ml$/i.test(path) && /^\s*[[{]/.test(text));
  if (isJson) return parseJson(text, faults);
  const lines = new LineCounter();
  // Pretty messages would quote the file, which holds secrets; codes do not.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  for (const error of document.errors) {
    const got = `${error.code.toLowerCase().replaceAll('_', ' ')} in line ${lines.linePos(error.pos[0]).line}`;
    faults.push({ path: '', expected: 'valid YAML', got });
  }
  if (faults.length > 0) return undefined;
  try {
    return document.toJS();
  } catch {
    // The library refuses aliases that multiply without end, or that point nowhere.
    faults.push({ path: '', expected: 'valid YAML', got: 'an alias that cannot be resolved, or too many of them' });
    return undefined;
  }
}

function parseJson(text: string, faults: WorkspaceFault[]): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = error instanceof SyntaxError ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
    const line = text.slice(0, position === undefined ? text.length : Number(position)).split('\n').length;
    faults.push({ path: '', expected: 'valid JSON', got: `a syntax error in line ${line}` });
    return undefined;
  }
}

/** A whole text `env.NAME` stands for that variable, anywhere in the file; so secrets stay out of it. */
export function replaceEnvironment(
  value: unknown,
  path: string,
  environment: WorkspaceContent['environment'],
  faults: WorkspaceFault[],
): unknown {
  if (typeof value === 'string') {
    const name = /^env\.([A-Za-z_][A-Za-z0-9_]*)$/.exec(value)?.[1];
    if (name === undefined) return value;
    const replacement = environment[name];
    if (replacement !== undefined) return replacement;
    faults.push({ path, expected: `the environment variable ${name} to be set`, got: 'nothing' });
    return value;
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => replaceEnvironment(item, `${path}[${index}]`, environment, faults));
  }
  if (!isTable(value)) return value;
  const prefix = path === '' ? '' : `${path}.`;
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([key, item]) => [key, replaceEnvironment(item, prefix + key, environment, faults)]),
  );
}

/** Recognises the forms of a file: one workspace, a list, `workspaces: …`, or a map by workspace id. */
function workspacesIn(content: unknown): WorkspaceEntry[] {
  if (Array.isArray(content)) return listEntries(content, '');
  if (!isTable(content)) return [{ path: '', content, mapKey: undefined }];
  const keys = new Map(Object.keys(content).map((key) => [key.toLowerCase(), key]));
  const workspacesKey = keys.get('workspaces');
  if (workspacesKey !== undefined) {
    const inner = content[workspacesKey];
    if (Array.isArray(inner)) return listEntries(inner, workspacesKey);
    if (isTable(inner)) return mapEntries(inner, `${workspacesKey}.`);
  }
  const values = Object.values(content);
  const looksLikeMap = values.length > 0 && values.every((value) => value === null || isTable(value));
  if (looksLikeMap && !keys.has('sources') && !keys.has('workspaceid')) return mapEntries(content, '');
  return [{ path: '', content, mapKey: undefined }];
}

function listEntries(list: readonly unknown[], prefix: string): WorkspaceEntry[] {
  return list.map((content, index) => ({ path: `${prefix}[${index}]`, content, mapKey: undefined }));
}

function mapEntries(map: Record<string, unknown>, prefix: string): WorkspaceEntry[] {
  return Object.entries(map).map(([key, content]) => ({ path: prefix + key, content, mapKey: key }));
}

function checkUniqueness(located: readonly LocatedSource[], faults: WorkspaceFault[]): void {
  const check = new UniquenessCheck(faults);
  for (const one of located) check.add(one);
}

/** Ids and write keys that two claim, found as sources are added one by one. */
export class UniquenessCheck {
  readonly #faults: WorkspaceFault[];
  readonly #pathById = new Map<string, string>();
  readonly #pathByWriteKey = new Map<string, string>();
  readonly #destinationById = new Map<string, { path: string; destination: DestinationConfig }>();

  constructor(faults: WorkspaceFault[]) {
    this.#faults = faults;
  }

  add({ path, source }: LocatedSource): void {
    const twin = this.#pathById.get(source.id);
    if (twin !== undefined) {
      this.#faults.push({ path: `${path}.id`, expected: 'an id of its own', got: `the id of ${twin}` });
    }
    const keyTwin = this.#pathByWriteKey.get(source.writeKey);
    if (keyTwin !== undefined) {
      const got = `the write key of ${keyTwin}`;
      this.#faults.push({ path: `${path}.writeKey`, expected: 'a write key of its own', got });
    }
    this.#pathById.set(source.id, path);
    this.#pathByWriteKey.set(source.writeKey, path);
    this.#addDestinations(path, source);
  }

  /**
   * A destination that several sources feed stands under each of them, with the same id: then it must be the same
   * destination. Only its connection may differ.
   */
  #addDestinations(sourcePath: string, source: SourceConfig): void {
    const idsHere = new Set<string>();
    for (const [index, destination] of source.destinations.entries()) {
      const path = `${sourcePath}.destinations[${index}]`;
      const twin = this.#destinationById.get(destination.id);
      if (idsHere.has(destination.id)) {
        const got = `the id of ${twin?.path ?? sourcePath}`;
        this.#faults.push({ path: `${path}.id`, expected: 'an id of its own within its source', got });
      } else if (twin !== undefined && identityOf(twin.destination) !== identityOf(destination)) {
        const expected = `the same destination as ${twin.path}, whose id it has`;
        this.#faults.push({ path, expected, got: 'a different one' });
      }
      idsHere.add(destination.id);
      if (twin === undefined) this.#destinationById.set(destination.id, { path, destination });
    }
  }
}

/** By destination, for as long as it is in use: those that many sources share are compared with every version. */
const identities = new WeakMap<DestinationConfig, string>();

function identityOf(destination: DestinationConfig): string {
  const known = identities.get(destination);
  if (known !== undefined) return known;
  const { isConnectionEnabled, isProcessorEnabled, ...rest } = destination;
  const identity = createHash('sha1').update(JSON.stringify(rest)).digest('base64');
  identities.set(destination, identity);
  return identity;
}
