// Where the repository and the built program are, whatever folder this compiled file was emitted to.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One file as the tidy rules see it; `path` is relative to the repository root and uses `/`. */
export interface RepositoryFile {
  path: string;
  text: string;
}

/** What a clone does not contain: made by npm, the build, the program or git itself. */
const notTracked = new Set(['node_modules', 'dist', '.build', '.git', 'sluice-data']);

export function repositoryRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('expected a package.json in a parent folder of the tests, found none');
    folder = parent;
  }
  return folder;
}

/** The compiled program that belongs to the compiled tests. */
export function programPath(): string {
  return fileURLToPath(new URL('../../actors/main.js', import.meta.url));
}

/** Names at the top of the repository, without what a clone does not contain. */
export function topLevelNames(): string[] {
  return readdirSync(repositoryRoot()).filter((name) => !notTracked.has(name) && !name.endsWith('.log'));
}

export function readFiles(folders: readonly string[], extensions: readonly string[]): RepositoryFile[] {
  const root = repositoryRoot();
  const files: RepositoryFile[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (extensions.some((extension) => entry.name.endsWith(extension))) {
        files.push({ path: relative(root, path).replaceAll('\\', '/'), text: readFileSync(path, 'utf8') });
      }
    }
  };
  for (const folder of folders) if (existsSync(join(root, folder))) visit(join(root, folder));
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}
