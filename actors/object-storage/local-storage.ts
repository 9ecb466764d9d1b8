// Object storage in a folder: for one machine, for a mounted share, and for tests. An object appears whole: it is
// written beside its place and moved there.

import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { type ObjectStorage, ObjectStorageError, type StoredObject } from './contract.ts';

const unfinished = '.unfinished';

export class LocalStorage implements ObjectStorage {
  readonly #folder: string;

  constructor(folder: string, prefix: string) {
    this.#folder = resolve(folder, prefix);
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    const path = this.#pathOf(key);
    const folder = dirname(path);
    const unready = `${path}.${randomUUID()}${unfinished}`;
    try {
      await mkdir(folder, { recursive: true });
      const file = await open(unready, 'w');
      try {
        await file.writeFile(body);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unready, path);
      await syncFolder(folder);
    } catch (error) {
      await rm(unready, { force: true }).catch(() => undefined);
      throw failed(error);
    }
  }

  async get(key: string): Promise<Buffer | undefined> {
    try {
      return await readFile(this.#pathOf(key));
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw failed(error);
    }
  }

  async list(prefix: string, limit: number, after = ''): Promise<StoredObject[]> {
    const names = await readdir(this.#folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return [];
      throw failed(error);
    });
    const keys = names
      .filter((entry) => entry.isFile() && !entry.name.endsWith(unfinished))
      .map((entry) => relative(this.#folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
      .filter((key) => key.startsWith(prefix) && key > after)
      .sort()
      .slice(0, limit);
    return Promise.all(keys.map(async (key) => ({ key, bytes: (await stat(this.#pathOf(key))).size })));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Keys come from ids of tenants: none may lead out of the folder. */
  #pathOf(key: string): string {
    const path = resolve(this.#folder, key);
    if (path.startsWith(this.#folder + sep) && !key.includes('\0')) return path;
    throw new ObjectStorageError('BAD_PLACE', 'expected a key that stays in the folder, got another', false);
  }
}

/** Without it the new name may be gone after a power cut, though its contents are there. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function failed(error: unknown): ObjectStorageError {
  return new ObjectStorageError('UNREACHABLE', `the folder cannot be used (${codeOf(error) || 'unknown'})`, true);
}
