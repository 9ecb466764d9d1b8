// A file that says which live process uses a folder. It outlives a killed process, so it names its owner in a way that
// cannot be mistaken: process id, the moment that process started and the boot it started in (ids are reused, in
// containers at every start).

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

export interface ProcessLock {
  /** Any number of times. */
  release(): void;
}

/** Locks this process holds, by path, with the name of the taking: its identity in a file alone proves nothing. */
const heldHere = new Map<string, string>();
let sequence = 0;

/** Undefined when another live process (or another part of this one) holds it: `holderOf` tells which. */
export function tryLock(path: string): ProcessLock | undefined {
  const unique = `${path}.${process.pid}.${process.hrtime.bigint()}.${sequence++}`;
  // Linked into place with its content, so that nobody ever reads a lock without a name in it.
  writeFileSync(unique, identityOf(process.pid), { flag: 'wx', mode: 0o644 });
  try {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      if (tryLink(unique, path)) {
        heldHere.set(path, unique);
        return { release: () => releaseOnce(path, unique) };
      }
      const content = readOrEmpty(path);
      if (isHeld(path, content)) return undefined;
      removeStale(path, content, unique);
    }
    return undefined;
  } finally {
    rmSync(unique, { force: true });
  }
}

/** Process id of the live holder, or undefined. */
export function holderOf(path: string): number | undefined {
  const content = readOrEmpty(path);
  return isHeld(path, content) ? Number.parseInt(content, 10) : undefined;
}

/** Whether the process exists and has not ended: one that waits for its parent to notice its end counts as ended. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (Reflect.get(Object(error), 'code') !== 'EPERM') return false;
  }
  const state = processStat(pid)[0];
  return state !== 'Z' && state !== 'X';
}

/** Released twice, a lock must not take away what somebody else holds by then. */
function releaseOnce(path: string, taking: string): void {
  if (heldHere.get(path) !== taking) return;
  heldHere.delete(path);
  rmSync(path, { force: true });
}

function isHeld(path: string, content: string): boolean {
  const pid = Number.parseInt(content, 10);
  if (!Number.isSafeInteger(pid) || !isAlive(pid) || identityOf(pid) !== content) return false;
  return pid !== process.pid || heldHere.has(path);
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (Reflect.get(Object(error), 'code') === 'EEXIST') return false;
    throw error;
  }
}

/** Takes the file away under a name of our own first: if it turns out to be a fresh lock, it is put back. */
function removeStale(path: string, stale: string, unique: string): void {
  const aside = `${unique}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readOrEmpty(aside) !== stale) tryLink(aside, path);
  rmSync(aside, { force: true });
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Where /proc does not exist the process id alone must do. */
function identityOf(pid: number): string {
  const startedAt = processStat(pid)[19] ?? '';
  return `${pid} ${startedAt} ${readOrEmpty('/proc/sys/kernel/random/boot_id').trim()}\n`;
}

/** Fields of /proc/<pid>/stat from the third (state) on; the second, the program's name, may contain anything. */
function processStat(pid: number): string[] {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}
