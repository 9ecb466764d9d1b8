// A copy of the built program with crash points in it, for one run of the matrix; the build itself stays as it is. The
// copy lies inside the repository, where its imports and migrations are found, in a folder that git and tidy ignore.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Cleanup, lastFirst } from '../support/cleanup.ts';
import { repositoryRoot } from '../support/repository.ts';
import { crashModules } from './crash-modules.ts';
import { instrument } from './crash-points.ts';

export interface CrashBuild {
  /** The program's entry. */
  programPath: string;
  /** Compiled `light-process.ts` of the copy. */
  lightProcessPath: string;
  /** Every point there is. */
  points: readonly string[];
}

export function makeCrashBuild(cleanup: Cleanup): CrashBuild {
  const build = fileURLToPath(new URL('../../', import.meta.url));
  const parent = join(repositoryRoot(), '.build');
  mkdirSync(parent, { recursive: true });
  const copy = mkdtempSync(join(parent, 'crash-'));
  lastFirst(cleanup).after(() => rmSync(copy, { recursive: true, force: true }));
  for (const part of ['transport', 'runtime', 'actors', 'test/crash', 'test/support']) {
    cpSync(join(build, part), join(copy, part), { recursive: true, filter: (path) => !path.endsWith('.map') });
  }
  const seam = join(copy, 'test', 'crash', 'crash-seam.js');
  const points: string[] = [];
  for (const module of crashModules(join(copy, 'actors'))) {
    const path = join(copy, 'actors', `${module.name}.js`);
    const specifier = relative(dirname(path), seam).replaceAll('\\', '/');
    const result = instrument(module, readFileSync(path, 'utf8'), specifier);
    writeFileSync(path, result.text);
    points.push(...result.points);
  }
  return {
    programPath: join(copy, 'actors', 'main.js'),
    lightProcessPath: join(copy, 'test', 'crash', 'light-process.js'),
    points: points.sort(),
  };
}
