// The workspaces of a control plane, as this process holds them: takes an answer, finds out what of it is new, reads
// only that, and keeps the last good version of each workspace. What one workspace has wrong is that workspace's
// affair: it keeps its last good version, or is left out if it has none, while the others go on. What the answer as a
// whole has wrong refuses the whole.
//
// Sources are told apart by the bytes they came in, so that an answer with one changed source costs the reading of one
// source. Reading goes in slices with a turn of the loop between them, because the gateway shares this thread.

import { createHash } from 'node:crypto';
import { jsonParts, skipSpace } from './json-parts.ts';
import type { SourceConfig } from './workspace.ts';
import { formatWorkspaceFaults, replaceEnvironment, UniquenessCheck } from './workspace-file.ts';
import { type LocatedSource, readWorkspace, type WorkspaceFault } from './workspace-schema.ts';

/** Sources that are read between two turns. */
const sliceSources = 50;
/** Sources that are recognised between two turns. */
const reusedSources = 500;

export interface WorkspaceSetOptions {
  /** Stand in for `env.NAME`; undefined: such texts are left as they are. */
  environment: Readonly<Record<string, string | undefined>> | undefined;
  turn(): Promise<void>;
}

export interface WorkspaceSetChange {
  /** New and changed ones. */
  sources: SourceConfig[];
  removedSourceIds: string[];
}

export type WorkspaceSetOutcome =
  | { ok: true; change: WorkspaceSetChange }
  /** Everything is as it was. */
  | { ok: false; reason: string; mustReload?: boolean };

interface HeldWorkspace {
  /** Hash of all but the sources: what every source of it depends on. */
  frame: string;
  sources: readonly SourceConfig[];
  sourceByHash: ReadonlyMap<string, SourceConfig>;
  updatedAt: string;
}

type Reading = { ok: true; workspace: HeldWorkspace } | { ok: false; faults: WorkspaceFault[] };

export class WorkspaceSet {
  readonly #options: WorkspaceSetOptions;
  #held = new Map<string, HeldWorkspace>();
  /** Bytes of refused versions: another workspace's change may make them good, as when a write key moves. */
  #refused = new Map<string, { bytes: Buffer; reason: string }>();

  constructor(options: WorkspaceSetOptions) {
    this.#options = options;
  }

  get sources(): SourceConfig[] {
    return [...this.#held.values()].flatMap(({ sources }) => sources);
  }

  /** Why workspaces are not as the control plane has them, one text each. */
  get refusals(): string[] {
    return [...this.#refused.values()].map(({ reason }) => reason);
  }

  /** Newest `updatedAt` of all, '' when there is none: what an incremental request asks from. */
  get updatedAt(): string {
    let newest = '';
    for (const { updatedAt } of this.#held.values()) if (updatedAt > newest) newest = updatedAt;
    return newest;
  }

  /** The answer of one workspace: `{"workspaceId":…,"sources":[…]}`. It is taken or refused as a whole. */
  async takeOne(bytes: Buffer): Promise<WorkspaceSetOutcome> {
    const outcome = await this.#attempt(() => this.#take(new Map([['', bytes]]), new Set([''])));
    const [reason] = this.refusals;
    this.#refused.clear();
    return reason === undefined ? outcome : { ok: false, reason };
  }

  /** The answer of a namespace: `{"<workspaceId>": {…} | null}`; null is unchanged, what is missing is gone. */
  async takeMany(bytes: Buffer): Promise<WorkspaceSetOutcome> {
    return await this.#attempt(async () => {
      const given = new Map<string, Buffer>();
      const listed = new Set<string>();
      if (bytes[skipSpace(bytes, 0)] !== 0x7b) return { ok: false, reason: 'expected a table of workspaces by id' };
      for (const { name, start, end } of wholeParts(bytes)) {
        listed.add(name);
        const part = bytes.subarray(start, end);
        if (part.toString('latin1', 0, 5) !== 'null') given.set(name, part);
        else if (!this.#held.has(name) && !this.#refused.has(name)) {
          return { ok: false, reason: 'expected an unknown workspace in full, got null', mustReload: true };
        }
      }
      return await this.#take(given, listed);
    });
  }

  async #attempt(take: () => Promise<WorkspaceSetOutcome>): Promise<WorkspaceSetOutcome> {
    try {
      return await take();
    } catch (error) {
      // The parser's own message would quote the answer, which holds secrets.
      if (error instanceof SyntaxError) return { ok: false, reason: 'expected valid JSON, got a broken or cut answer' };
      throw error;
    }
  }

  async #take(given: ReadonlyMap<string, Buffer>, listed: ReadonlySet<string>): Promise<WorkspaceSetOutcome> {
    const candidates = new Map([...this.#refused].map(([id, { bytes }]) => [id, bytes]));
    for (const [id, bytes] of given) candidates.set(id, bytes);
    const refused = new Map<string, { bytes: Buffer; reason: string }>();
    const read = new Map<string, HeldWorkspace>();
    for (const [id, bytes] of candidates) {
      if (!listed.has(id)) continue;
      const reading = await this.#read(id, bytes);
      if (reading.ok) read.set(id, reading.workspace);
      else refused.set(id, { bytes: Buffer.from(bytes), reason: formatWorkspaceFaults(reading.faults) });
    }
    const kept = new Map([...this.#held].filter(([id]) => listed.has(id)));
    for (const [id, reason] of conflicts(kept, read)) {
      refused.set(id, { bytes: Buffer.from(candidates.get(id) ?? ''), reason });
      read.delete(id);
    }
    for (const [id, workspace] of read) kept.set(id, workspace);
    const change = changeBetween(this.#held, kept);
    this.#held = kept;
    this.#refused = refused;
    return { ok: true, change };
  }

  async #read(id: string, bytes: Buffer): Promise<Reading> {
    const faults: WorkspaceFault[] = [];
    const cut = cutWorkspace(bytes);
    if (cut === undefined) {
      faults.push({ path: '', expected: 'a table with a list of sources', got: 'something else' });
      return { ok: false, faults };
    }
    const { frame, frameHash, list } = cut;
    const known = this.#held.get(id);
    const reusable = known?.frame === frameHash ? known.sourceByHash : undefined;
    const unique = new UniquenessCheck(faults);
    const located: LocatedSource[] = [];
    const add = (one: LocatedSource, hash: string): void => {
      unique.add(one);
      located.push(one);
      sourceByHash.set(hash, one.source);
    };
    const sourceByHash = new Map<string, SourceConfig>();
    let slice: { hash: string; content: unknown }[] = [];
    const readSlice = async (): Promise<void> => {
      const firstSource = located.length;
      const content = this.#withEnvironment({ ...frame, sources: slice.map((one) => one.content) }, faults);
      const entry = { path: id, content, mapKey: id === '' ? undefined : id, firstSource };
      for (const [index, one] of readWorkspace(entry, faults).entries()) {
        add(one, slice[index]?.hash ?? '');
      }
      slice = [];
      await this.#options.turn();
    };
    let count = 0;
    for (const { start, end } of wholeParts(list)) {
      const part = list.subarray(start, end);
      const hash = hashOf(part);
      const same = reusable?.get(hash);
      if (same === undefined) slice.push({ hash, content: JSON.parse(part.toString()) });
      else {
        if (slice.length > 0) await readSlice();
        add({ path: `${id}.sources[${located.length}]`, source: same }, hash);
      }
      count += 1;
      if (slice.length >= sliceSources) await readSlice();
      else if (count % reusedSources === 0) await this.#options.turn();
      if (faults.length > 0) break;
    }
    // Also when there is no source at all: the frame must be good by itself.
    if (faults.length === 0 && (slice.length > 0 || count === 0)) await readSlice();
    if (faults.length > 0) return { ok: false, faults };
    const updatedAt = textMember(frame, 'updatedat');
    return {
      ok: true,
      workspace: { frame: frameHash, sources: located.map((one) => one.source), sourceByHash, updatedAt },
    };
  }

  #withEnvironment(content: unknown, faults: WorkspaceFault[]): unknown {
    const { environment } = this.#options;
    return environment === undefined ? content : replaceEnvironment(content, '', environment, faults);
  }
}

/** The members of the whole of `bytes`; anything behind them is a fault. */
function* wholeParts(bytes: Buffer) {
  const end = yield* jsonParts(bytes);
  if (skipSpace(bytes, end) !== bytes.byteLength) throw new SyntaxError('expected nothing behind the end');
}

interface CutWorkspace {
  /** Everything but the sources. */
  frame: Record<string, unknown>;
  frameHash: string;
  /** Text of the list of sources. */
  list: Buffer;
}

function cutWorkspace(bytes: Buffer): CutWorkspace | undefined {
  if (bytes[skipSpace(bytes, 0)] !== 0x7b) return undefined;
  const frame: Record<string, unknown> = {};
  const hash = createHash('sha256');
  let list: Buffer | undefined;
  for (const { name, start, end } of wholeParts(bytes)) {
    const part = bytes.subarray(start, end);
    if (name.toLowerCase() === 'sources') {
      if (part[0] !== 0x5b) return undefined;
      list = part;
      continue;
    }
    Object.defineProperty(frame, name, { value: JSON.parse(part.toString()), enumerable: true, configurable: true });
    // The moment of the change is no change by itself.
    if (name.toLowerCase() !== 'updatedat') hash.update(`${name}\0`).update(part);
  }
  return list === undefined ? undefined : { frame, frameHash: hash.digest('base64'), list };
}

/**
 * Workspaces among `read` that claim a source id or write key of another: whoever had it keeps it, of two that are new
 * the first. A refused one falls back to its last good version, whose claims count again; so it goes on until no claim
 * is left that two make.
 */
function conflicts(held: ReadonlyMap<string, HeldWorkspace>, read: ReadonlyMap<string, HeldWorkspace>) {
  const refused = new Map<string, string>();
  for (let before = -1; before < refused.size; ) {
    before = refused.size;
    const owners = new Map<string, string>();
    const claim = (what: string, id: string): void => {
      const owner = owners.get(what) ?? id;
      owners.set(what, owner);
      if (owner !== id) refuse(owner, id, what);
    };
    const refuse = (owner: string, id: string, what: string): void => {
      const loser = read.has(id) && !refused.has(id) ? id : owner;
      if (!read.has(loser)) return;
      const reason = `expected every ${what.startsWith('i') ? 'source id' : 'write key'} to be its own`;
      refused.set(loser, `${loser}: ${reason}, got one of ${loser === id ? owner : id}`);
    };
    const claimAll = (id: string, { sources }: HeldWorkspace): void => {
      for (const source of sources) {
        claim(`id ${source.id}`, id);
        claim(`key ${source.writeKey}`, id);
      }
    };
    for (const [id, workspace] of held) if (!read.has(id) || refused.has(id)) claimAll(id, workspace);
    for (const [id, workspace] of read) if (!refused.has(id)) claimAll(id, workspace);
  }
  return refused;
}

function changeBetween(
  before: ReadonlyMap<string, HeldWorkspace>,
  after: ReadonlyMap<string, HeldWorkspace>,
): WorkspaceSetChange {
  const old = new Map<string, SourceConfig>();
  for (const [id, workspace] of before) {
    if (after.get(id) === workspace) continue;
    for (const source of workspace.sources) old.set(source.id, source);
  }
  const sources: SourceConfig[] = [];
  for (const [id, workspace] of after) {
    if (before.get(id) === workspace) continue;
    for (const source of workspace.sources) {
      if (old.get(source.id) !== source) sources.push(source);
      old.delete(source.id);
    }
  }
  return { sources, removedSourceIds: [...old.keys()] };
}

function hashOf(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('base64');
}

function textMember(table: Record<string, unknown>, lowerCaseName: string): string {
  for (const [name, value] of Object.entries(table)) {
    if (name.toLowerCase() === lowerCaseName && typeof value === 'string') return value;
  }
  return '';
}
