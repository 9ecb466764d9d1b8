// Who is suppressed, as one look-up in this process. Three ways to keep it, over the same tables:
//
//   memory   nothing survives a restart; everything is asked for again
//   full     everything on disk
//   recent   on disk, what the control plane suppressed within the window; older tables are dropped whole
//
// What an operator suppresses himself is never dropped by age, whatever the way. A user is stored under a hash of his
// workspace and id, so that ids of any length and content are keys, with all sources he is suppressed for.

import { createHash } from 'node:crypto';
import type { KeyValueStore, KeyValueTable } from '../../transport/index.ts';

/** One change, as the control plane and the admin API tell it. */
export interface Suppression {
  workspaceId: string;
  userId: string;
  /** Empty: all sources of the workspace. */
  sourceIds: readonly string[];
  /** Takes a suppression back. */
  canceled: boolean;
  createdAtMs: number;
}

/** Short names: there may be millions. `s`: moment of the suppression by source, '*' for all. */
interface StoredUser {
  w: string;
  u: string;
  s: Record<string, number>;
}

export interface SuppressedUser {
  workspaceId: string;
  userId: string;
  /** Empty: all. */
  sourceIds: string[];
  createdAtMs: number;
}

interface SyncState {
  token: string;
  /** Everything there was has been taken at least once. */
  complete: boolean;
}

const allSources = '*';
const lasting = 'lasting';
const bucketPrefix = 'bucket-';
/** Tables a window is cut into: so much of it is kept for too long at most, and so many look-ups a miss costs. */
const bucketsPerWindow = 4;
/** Changes within one transaction, which holds the thread. */
const sliceChanges = 250;
const metaKey = (place: string): Buffer => createHash('sha256').update(place).digest();

export interface SuppressionStoreOptions {
  tables: KeyValueStore;
  /** Undefined: everything is kept. */
  windowMs: number | undefined;
  nowMs(): number;
}

export class SuppressionStore {
  readonly #options: SuppressionStoreOptions;
  readonly #meta: KeyValueTable<SyncState>;
  /** All that may hold a user, the lasting one first. */
  #tables = new Map<string, KeyValueTable<StoredUser>>();

  constructor(options: SuppressionStoreOptions) {
    this.#options = options;
    this.#meta = options.tables.table<SyncState>('meta');
    this.#tableOf(lasting);
    for (const name of options.tables.names()) if (name.startsWith(bucketPrefix)) this.#tableOf(name);
  }

  isSuppressed(workspaceId: string, userId: string, sourceId: string): boolean {
    const key = keyOf(workspaceId, userId);
    for (const table of this.#tables.values()) {
      const sources = table.get(key)?.s;
      if (sources !== undefined && (Object.hasOwn(sources, allSources) || Object.hasOwn(sources, sourceId)))
        return true;
    }
    return false;
  }

  /** Where the last sync with `place` ended; '' at the beginning. */
  syncState(place: string): SyncState {
    return this.#meta.get(metaKey(place)) ?? { token: '', complete: false };
  }

  /** A page of a sync, and where it ended. Repeating one changes nothing. */
  async applyPage(page: readonly Suppression[], place: string, state: SyncState): Promise<void> {
    await this.#applySlices(page, (change) => this.#tableFor(change));
    await this.#options.tables.write(() => this.#meta.put(metaKey(place), state));
  }

  /** What an operator says; on disk when it resolves. */
  async apply(changes: readonly Suppression[]): Promise<void> {
    await this.#applySlices(changes, () => this.#tableOf(lasting));
  }

  /** In the order of their hashes, `after` the cursor of the last one. */
  list(after: string, limit: number): { users: SuppressedUser[]; next: string } {
    const start = after === '' ? undefined : Buffer.from(after, 'hex');
    const merged = new Map<string, StoredUser>();
    for (const table of this.#tables.values()) {
      for (const { key, value } of table.entries(start, limit)) {
        const id = key.toString('hex');
        const known = merged.get(id);
        merged.set(id, known === undefined ? value : { ...value, s: { ...known.s, ...value.s } });
      }
    }
    const page = [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit);
    return { users: page.map(([, user]) => shown(user)), next: page.length < limit ? '' : (page.at(-1)?.[0] ?? '') };
  }

  find(workspaceId: string, userId: string): SuppressedUser | undefined {
    const key = keyOf(workspaceId, userId);
    const found = [...this.#tables.values()].flatMap((table) => table.get(key) ?? []);
    const [first] = found;
    if (first === undefined) return undefined;
    return shown({ ...first, s: Object.assign({}, ...found.map(({ s }) => s)) });
  }

  /** Users in all tables; one who is in two counts twice. */
  count(): number {
    let sum = 0;
    for (const table of this.#tables.values()) sum += table.count();
    return sum;
  }

  /** Drops what is older than the window. */
  async dropOld(): Promise<void> {
    const { tables, windowMs, nowMs } = this.#options;
    if (windowMs === undefined) return;
    const oldest = this.#bucketOf(nowMs() - windowMs);
    for (const name of [...this.#tables.keys()]) {
      if (!name.startsWith(bucketPrefix) || Number(name.slice(bucketPrefix.length)) >= oldest) continue;
      this.#tables.delete(name);
      await tables.drop(name);
    }
  }

  close(): Promise<void> {
    return this.#options.tables.close();
  }

  async #applySlices(
    changes: readonly Suppression[],
    tableFor: (change: Suppression) => KeyValueTable<StoredUser> | undefined,
  ): Promise<void> {
    for (let at = 0; at < changes.length; at += sliceChanges) {
      const slice = changes.slice(at, at + sliceChanges);
      // Tables are opened before the transaction, which cannot open any.
      const targets = slice.map(tableFor);
      await this.#options.tables.write(() => {
        for (const [index, change] of slice.entries()) this.#applyOne(change, targets[index]);
      });
    }
  }

  #applyOne(change: Suppression, target: KeyValueTable<StoredUser> | undefined): void {
    const key = keyOf(change.workspaceId, change.userId);
    const sources = change.sourceIds.length === 0 ? [allSources] : change.sourceIds;
    if (change.canceled) {
      // Wherever it is: what is taken back may have been told by somebody else, or long ago.
      for (const table of this.#tables.values()) remove(table, key, sources);
    } else if (target !== undefined) {
      const known = target.get(key);
      const added = Object.fromEntries(sources.map((source) => [source, change.createdAtMs]));
      target.put(key, { w: change.workspaceId, u: change.userId, s: { ...known?.s, ...added } });
    }
  }

  /** Undefined: it is too old to be kept. */
  #tableFor({ createdAtMs }: Suppression): KeyValueTable<StoredUser> | undefined {
    const { windowMs, nowMs } = this.#options;
    if (windowMs === undefined) return this.#tableOf(lasting);
    if (createdAtMs < nowMs() - windowMs) return undefined;
    return this.#tableOf(`${bucketPrefix}${this.#bucketOf(Math.min(createdAtMs, nowMs()))}`);
  }

  #bucketOf(moment: number): number {
    const { windowMs = 1 } = this.#options;
    return Math.floor(moment / (windowMs / bucketsPerWindow));
  }

  #tableOf(name: string): KeyValueTable<StoredUser> {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const table = this.#options.tables.table<StoredUser>(name);
    this.#tables.set(name, table);
    return table;
  }
}

function remove(table: KeyValueTable<StoredUser>, key: Buffer, sources: readonly string[]): void {
  const known = table.get(key);
  if (known === undefined) return;
  const left = Object.entries(known.s).filter(([source]) => !sources.includes(source));
  if (left.length === 0) table.remove(key);
  else table.put(key, { ...known, s: Object.fromEntries(left) });
}

function shown({ w, u, s }: StoredUser): SuppressedUser {
  const sourceIds = Object.hasOwn(s, allSources) ? [] : Object.keys(s);
  return { workspaceId: w, userId: u, sourceIds, createdAtMs: Math.max(...Object.values(s)) };
}

function keyOf(workspaceId: string, userId: string): Buffer {
  // The length keeps "a" + "bc" and "ab" + "c" apart.
  return createHash('sha256').update(`${workspaceId.length}:${workspaceId}${userId}`).digest();
}
