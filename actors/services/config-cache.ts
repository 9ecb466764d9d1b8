// The last good configuration, kept where a start finds it while the control plane is away: a file in the data folder,
// which is there at once, and a row in Postgres, which also another machine finds. Both hold the same bytes, encrypted
// with AES-256-GCM, because the configuration is full of write keys and destination secrets. What cannot be decrypted
// (another secret, a damaged copy) counts as not there.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { keptForm } from './source-options.ts';
import type { SourceConfig } from './workspace.ts';

/** One row of Postgres, by name. */
export interface CacheTable {
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, content: Uint8Array): Promise<void>;
}

export interface ConfigCacheOptions {
  path: string;
  table: CacheTable;
  /** Whose configuration it is: URL and namespace. A copy of another one is not taken. */
  name: string;
  secret: string;
  turn(): Promise<void>;
  /** Fit for the log: which copy could not be read or written, and why. */
  onFailure(text: string): void;
}

const formatVersion = 1;
const nonceBytes = 12;
const tagBytes = 16;
/** Sources that are written out and encrypted between two turns. */
const sliceSources = 200;

export class ConfigCache {
  readonly #options: ConfigCacheOptions;
  readonly #key: Uint8Array;

  constructor(options: ConfigCacheOptions) {
    this.#options = options;
    this.#key = new Uint8Array(hkdfSync('sha256', options.secret, 'sluice', 'configuration cache', 32));
  }

  /** The workspaces in the form of a namespace's answer, or undefined when there is no good copy. */
  async read(): Promise<Buffer | undefined> {
    return (
      (await this.#readFrom('the data folder', () => readFileIfThere(this.#options.path))) ?? this.#readFromTable()
    );
  }

  /** Replaces both copies. Never rejects: a copy that cannot be written is reported and tried with the next change. */
  async write(sources: readonly SourceConfig[]): Promise<void> {
    const { path, table, name } = this.#options;
    const content = await this.#encrypt(sources);
    await this.#attempt('cannot keep the configuration in the data folder', () => replaceFile(path, content));
    await this.#attempt('cannot keep the configuration in Postgres', () => table.write(name, content));
  }

  #readFromTable(): Promise<Buffer | undefined> {
    return this.#readFrom('Postgres', () => this.#options.table.read(this.#options.name));
  }

  async #readFrom(place: string, read: () => Promise<Uint8Array | undefined>): Promise<Buffer | undefined> {
    let found: Buffer | undefined;
    await this.#attempt(`cannot use the configuration kept in ${place}`, async () => {
      const content = await read();
      found = content === undefined ? undefined : this.#decrypt(content);
    });
    return found;
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.onFailure(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** version ‖ nonce ‖ tag ‖ ciphertext; the name is authenticated too. */
  async #encrypt(sources: readonly SourceConfig[]): Promise<Buffer> {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    cipher.setAAD(Buffer.from(this.#options.name));
    const chunks: Buffer[] = [];
    for (let at = 0; at < sources.length || at === 0; at += sliceSources) {
      // Lines of a list: each slice is text of its own, so that nothing large is ever put together at once.
      const slice = sources.slice(at, at + sliceSources).map((source) => `${JSON.stringify(keptForm(source))}\n`);
      chunks.push(cipher.update(slice.join('')));
      await this.#options.turn();
    }
    chunks.push(cipher.final());
    return Buffer.concat([Buffer.of(formatVersion), nonce, cipher.getAuthTag(), ...chunks]);
  }

  #decrypt(content: Uint8Array): Buffer {
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    if (bytes[0] !== formatVersion || bytes.byteLength < 1 + nonceBytes + tagBytes)
      throw new Error('it has another form');
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(1, 1 + nonceBytes));
    decipher.setAAD(Buffer.from(this.#options.name));
    decipher.setAuthTag(bytes.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes));
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(1 + nonceBytes + tagBytes)), decipher.final()]);
      return asNamespaceAnswer(text);
    } catch {
      throw new Error('it was written with another secret, for another control plane, or is damaged');
    }
  }
}

/** From one source in each line to workspaces by id. */
function asNamespaceAnswer(lines: Buffer): Buffer {
  const byWorkspace = new Map<string, string[]>();
  for (const line of lines.toString().split('\n')) {
    if (line === '') continue;
    const { workspaceId } = JSON.parse(line) as { workspaceId: string };
    const known = byWorkspace.get(workspaceId);
    if (known === undefined) byWorkspace.set(workspaceId, [line]);
    else known.push(line);
  }
  const members = [...byWorkspace].map(([id, sources]) => `${JSON.stringify(id)}:{"sources":[${sources.join(',')}]}`);
  return Buffer.from(`{${members.join(',')}}`);
}

async function readFileIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function replaceFile(path: string, content: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, content, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
