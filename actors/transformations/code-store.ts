// Code that the workspace only names by version: asked of the control plane once, and kept for ever, since a version
// never changes. Kept in the data folder too, so that a start needs no control plane for code it has seen before.

import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { basicCredentials, ServiceClient } from '../services/service-client.ts';
import { libraryName } from '../services/workspace-schema.ts';
import type { TransformationProgram } from './contract.ts';
import { ProgramError, type SandboxProgram } from './sandbox-engine.ts';

export interface CodeStoreOptions {
  /** '': there is none; only code in the workspace itself runs. */
  url: string;
  token: string;
  timeoutMs: number;
  dataDir: string;
}

interface StoredCode {
  name: string;
  code: string;
}

const answerBytesMax = 8 * 1024 * 1024;

export class CodeStore {
  readonly #options: CodeStoreOptions;
  #client: ServiceClient | undefined;

  constructor(options: CodeStoreOptions) {
    this.#options = options;
  }

  /** Rejects with ProgramError for code that does not exist, with ServiceError when the store is not there. */
  async programOf(program: TransformationProgram): Promise<SandboxProgram> {
    const { versionId, transformationId, credentials } = program;
    const own =
      program.code === undefined
        ? await this.#fetch('/transformation/getByVersionId', versionId)
        : { name: transformationId, code: program.code };
    const libraries = new Map<string, string>();
    if (/\bimport\b/.test(own.code)) {
      for (const library of program.libraries) {
        const { name, code } =
          library.code === undefined
            ? await this.#fetch('/transformationLibrary/getByVersionId', library.versionId)
            : { name: library.name, code: library.code };
        libraries.set(library.name === '' ? name : library.name, code);
      }
    }
    return { name: own.name, code: own.code, libraries, credentials };
  }

  async #fetch(path: string, versionId: string): Promise<StoredCode> {
    const { url, token, timeoutMs, dataDir } = this.#options;
    if (versionId === '') throw new ProgramError('Transformation VersionID not found');
    if (url === '') throw new ProgramError(`expected config.code, or a control plane that has version ${versionId}`);
    const target = new URL(`${url.replace(/\/+$/, '')}${path}`);
    target.searchParams.set('versionId', versionId);
    const digest = createHash('sha256').update(target.href).digest('hex');
    const folder = join(dataDir, 'transformations');
    const kept = await readFile(join(folder, `${digest}.json`)).catch(() => undefined);
    if (kept !== undefined) return readStored(kept);
    this.#client ??= new ServiceClient({ name: 'the code store', answerBytesMax });
    const headers = { Authorization: basicCredentials(token), Accept: 'application/json' };
    const answer = await this.#client.call({ url: target, headers, timeoutMs });
    if (answer.status === 404) throw new ProgramError(`the code of version ${versionId} is not found`, 404);
    if (answer.status !== 200) throw new Error(`expected of the code store status 200, got ${answer.status}`);
    const stored = readStored(answer.body);
    await keep(folder, digest, answer.body).catch(() => undefined);
    return stored;
  }
}

/** What cannot be kept is asked for again with the next start. */
async function keep(folder: string, digest: string, body: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true });
  const unfinished = join(folder, `${digest}.unfinished`);
  await writeFile(unfinished, body, { mode: 0o600 });
  await rename(unfinished, join(folder, `${digest}.json`));
}

function readStored(body: Buffer): StoredCode {
  const value: unknown = JSON.parse(body.toString('utf8'));
  if (typeof value !== 'object' || value === null || !('code' in value) || typeof value.code !== 'string') {
    throw new Error('expected of the code store an object with code');
  }
  const name = 'name' in value && typeof value.name === 'string' ? value.name : 'transformation';
  const handle = 'handleName' in value && typeof value.handleName === 'string' ? value.handleName : libraryName(name);
  return { name: 'handleName' in value ? handle : name, code: value.code };
}
