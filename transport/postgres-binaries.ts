// Finds PostgreSQL's programs in the platform package and makes them runnable: restores the library links that the
// package's install script would have made (npm may block such scripts), and, where the user who runs Postgres cannot
// reach node_modules, keeps one shared copy outside.

import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, sep } from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { canEnter, type OperatingSystemUser } from './postgres-user.ts';

export interface PostgresBinaries {
  /** Folder with bin, lib and share. */
  nativeDir: string;
  initdb: string;
  pgCtl: string;
  /** Version of the package, e.g. 18.4.0-beta.17. */
  version: string;
  major: number;
}

export interface BinariesOptions {
  user: OperatingSystemUser | undefined;
  /** Folders for the shared copy, best first. */
  sharedDirs: readonly string[];
  /** The `native` folder to use in place of the installed package's. */
  nativeDir?: string;
}

const reinstallFix =
  'Install with `npm ci` (without `--omit=optional`), or set SLUICE_POSTGRES_URL to a PostgreSQL server of yours.';

export function preparePostgresBinaries(options: BinariesOptions): PostgresBinaries {
  const installed = options.nativeDir ?? findInstalled();
  const version = packageVersion(installed);
  const nativeDir = usableInPlace(installed, options.user) ? installed : sharedCopy(installed, version, options);
  return {
    nativeDir,
    initdb: join(nativeDir, 'bin', 'initdb'),
    pgCtl: join(nativeDir, 'bin', 'pg_ctl'),
    version,
    major: Number.parseInt(version, 10),
  };
}

function findInstalled(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The package exports its entry file only; `native` is beside that file's folder.
    return join(dirname(dirname(createRequire(import.meta.url).resolve(name))), 'native');
  } catch (cause) {
    throw new EmbeddedPostgresError(
      'BINARIES_MISSING',
      `The PostgreSQL binaries for this machine (npm package ${name}) are not installed.`,
      reinstallFix,
      cause,
    );
  }
}

function packageVersion(nativeDir: string): string {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(dirname(nativeDir), 'package.json'), 'utf8'));
    const version: unknown = typeof manifest === 'object' && manifest !== null ? Reflect.get(manifest, 'version') : '';
    if (typeof version === 'string' && /^\d+\./.test(version)) return version;
  } catch (cause) {
    throw new EmbeddedPostgresError(
      'BINARIES_MISSING',
      `${nativeDir} is not a PostgreSQL package.`,
      reinstallFix,
      cause,
    );
  }
  throw new EmbeddedPostgresError('BINARIES_MISSING', `${nativeDir} has no version.`, reinstallFix);
}

function usableInPlace(nativeDir: string, user: OperatingSystemUser | undefined): boolean {
  if (!canEnter(user, join(nativeDir, 'bin')) || !canEnter(user, join(nativeDir, 'lib'))) return false;
  try {
    restoreLibraryLinks(nativeDir);
    return true;
  } catch {
    // A read-only node_modules whose install script never ran: the copy gets the links.
    return false;
  }
}

/** Makes every link that pg-symlinks.json lists and that is not there. Paths in it are relative to the package. */
function restoreLibraryLinks(nativeDir: string): void {
  const packageDir = dirname(nativeDir);
  const links: unknown = JSON.parse(readFileSync(join(nativeDir, 'pg-symlinks.json'), 'utf8'));
  if (!Array.isArray(links)) return;
  for (const link of links as { source: string; target: string }[]) {
    const target = insideNative(nativeDir, packageDir, link.target);
    const source = insideNative(nativeDir, packageDir, link.source);
    if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) continue;
    try {
      symlinkSync(relative(dirname(target), source), target);
    } catch (error) {
      // Another process restores the same links at the same time.
      if (!existsSync(target)) throw error;
    }
  }
}

/** `native/lib/x.so` in the manifest, under whatever name the folder has here. */
function insideNative(nativeDir: string, packageDir: string, listed: string): string {
  const path = join(packageDir, listed);
  const original = join(packageDir, 'native') + sep;
  return path.startsWith(original) ? join(nativeDir, path.slice(original.length)) : path;
}

/**
 * One copy per version, owned by whoever runs Sluice, made under a temporary name and renamed, so that nobody ever
 * sees half of it. The manifest goes along, so that the copy is a package of the same form.
 */
function sharedCopy(installed: string, version: string, options: BinariesOptions): string {
  let failure: unknown;
  for (const sharedDir of options.sharedDirs) {
    const place = join(sharedDir, `postgresql-${version}-${process.arch}`);
    const nativeDir = join(place, 'native');
    try {
      if (!existsSync(nativeDir)) copyPackage(dirname(installed), place);
      if (!ownedByUs(place)) continue;
      restoreLibraryLinks(nativeDir);
      if (canEnter(options.user, join(nativeDir, 'bin'))) return nativeDir;
    } catch (error) {
      failure = error;
    }
  }
  throw new EmbeddedPostgresError(
    'BINARIES_MISSING',
    `The user ${options.user?.name ?? 'running Sluice'} cannot run the PostgreSQL binaries in ${installed}, and no copy could be made in ${options.sharedDirs.join(' or ')}.`,
    'Install Sluice in a folder every user may enter, or make one of those folders writable.',
    failure,
  );
}

/** Programs are run from there: a folder somebody else prepared in a world-writable place is not trusted. */
function ownedByUs(place: string): boolean {
  const { uid, mode } = lstatSync(place);
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}

function copyPackage(packageDir: string, place: string): void {
  const sharedDir = dirname(place);
  makeEnterable(sharedDir);
  const temporary = join(sharedDir, `.${basename(place)}.${process.pid}.${process.hrtime.bigint()}`);
  try {
    makeEnterable(temporary);
    cpSync(join(packageDir, 'native'), join(temporary, 'native'), { recursive: true, verbatimSymlinks: true });
    cpSync(join(packageDir, 'package.json'), join(temporary, 'package.json'));
    giveToOurselves(temporary);
    renameSync(temporary, place);
  } catch (error) {
    // Lost the race: the winner's copy is as good as ours.
    if (!existsSync(join(place, 'native'))) throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Creates a folder, with its parents, that everybody may enter, whatever our umask is. */
export function makeEnterable(folder: string): void {
  const first = mkdirSync(folder, { recursive: true });
  if (first === undefined) return;
  for (let each = folder; each.length >= first.length; each = dirname(each)) chmodSync(each, 0o755);
}

/** npm may leave the owners recorded in the archive and our umask may hide files: the copy is ours and readable. */
function giveToOurselves(folder: string): void {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    const path = join(folder, entry.name);
    const executable = entry.isDirectory() || (statSync(path).mode & 0o100) !== 0;
    chownSync(path, uid, gid);
    chmodSync(path, executable ? 0o755 : 0o644);
    if (entry.isDirectory()) giveToOurselves(path);
  }
}
