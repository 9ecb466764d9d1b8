// Tables of keys and values that are looked up in this process without a hop and without a query: on disk by LMDB, which
// maps the file into memory, or in memory alone. The library is loaded when a store is first opened.
//
// LMDB writes on a thread of its own. A thread that hosts such a store must never be terminated, because it could take
// the writer's lock with it: stores are opened on the main thread only.

import type * as Lmdb from 'lmdb';

export interface KeyValueTable<Value> {
  get(key: Buffer): Value | undefined;
  /** Only within `write`. */
  put(key: Buffer, value: Value): void;
  /** Only within `write`. */
  remove(key: Buffer): void;
  /** In the order of the keys, those behind `after`. */
  entries(after: Buffer | undefined, limit: number): { key: Buffer; value: Value }[];
  count(): number;
}

export interface KeyValueStore {
  table<Value>(name: string): KeyValueTable<Value>;
  /** Names of all tables that were ever opened and not dropped. */
  names(): string[];
  drop(name: string): Promise<void>;
  /** All that `work` does, or nothing of it; resolves when it is on disk. `work` may run after this turn. */
  write(work: () => void): Promise<void>;
  close(): Promise<void>;
}

const tablesMax = 64;

/** The folder is made when it is not there. Rejects when it cannot be used. */
export async function openKeyValueStore(path: string): Promise<KeyValueStore> {
  const { open } = await import('lmdb');
  const root = open<unknown, string>({ path, maxDbs: tablesMax, compression: false });
  const tables = new Map<string, Lmdb.Database<unknown, Buffer>>();
  const tableOf = (name: string): Lmdb.Database<unknown, Buffer> => {
    const known = tables.get(name);
    if (known !== undefined) return known;
    const table = root.openDB<unknown, Buffer>({ name, keyEncoding: 'binary', encoding: 'msgpack' });
    tables.set(name, table);
    return table;
  };
  return {
    table: <Value>(name: string) => diskTable<Value>(tableOf(name)),
    names: () => [...root.getKeys()].filter((name) => typeof name === 'string'),
    drop: async (name) => {
      const table = tableOf(name);
      tables.delete(name);
      await table.drop();
    },
    write: async (work) => {
      await root.transaction(work);
      await root.flushed;
    },
    close: () => root.close(),
  };
}

function diskTable<Value>(table: Lmdb.Database<unknown, Buffer>): KeyValueTable<Value> {
  return {
    get: (key) => table.get(key) as Value | undefined,
    // Within a transaction these are done at once; the promises they return are that of the transaction.
    put: (key, value) => void table.put(key, value),
    remove: (key) => void table.remove(key),
    entries: (after, limit) => {
      const found: { key: Buffer; value: Value }[] = [];
      const range = after === undefined ? { limit } : { start: after, exclusiveStart: true, limit };
      for (const { key, value } of table.getRange(range)) found.push({ key: Buffer.from(key), value: value as Value });
      return found;
    },
    count: () => table.getCount(),
  };
}

/** The same without a disk: everything is gone with the process. */
export function memoryKeyValueStore(): KeyValueStore {
  const tables = new Map<string, Map<string, { key: Buffer; value: unknown }>>();
  const mapOf = (name: string): Map<string, { key: Buffer; value: unknown }> => {
    const known = tables.get(name) ?? new Map<string, { key: Buffer; value: unknown }>();
    tables.set(name, known);
    return known;
  };
  return {
    table: <Value>(name: string) => memoryTable<Value>(() => mapOf(name)),
    names: () => [...tables.keys()],
    drop: async (name) => {
      tables.delete(name);
    },
    write: async (work) => work(),
    close: () => Promise.resolve(),
  };
}

function memoryTable<Value>(map: () => Map<string, { key: Buffer; value: unknown }>): KeyValueTable<Value> {
  return {
    get: (key) => map().get(key.toString('latin1'))?.value as Value | undefined,
    put: (key, value) => void map().set(key.toString('latin1'), { key, value }),
    remove: (key) => void map().delete(key.toString('latin1')),
    entries: (after, limit) => {
      const all = [...map().values()].sort((a, b) => Buffer.compare(a.key, b.key));
      const behind = after === undefined ? all : all.filter(({ key }) => Buffer.compare(key, after) > 0);
      return behind.slice(0, limit).map(({ key, value }) => ({ key, value: value as Value }));
    },
    count: () => map().size,
  };
}
