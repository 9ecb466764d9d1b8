// A disk so small that a test can fill it: a file system in memory of its own, where this machine lets us mount one.

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from './cleanup.ts';
import { temporaryFolder } from './database.ts';

export class SmallDisk {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Somebody else's file takes space until only so much is left. */
  fillTo(freeBytes: number): void {
    const file = openSync(this.#filler, 'a');
    const piece = Buffer.alloc(256 * 1024);
    try {
      while (this.freeBytes > freeBytes) writeSync(file, piece, 0, Math.min(piece.length, this.freeBytes - freeBytes));
    } catch (error) {
      // Others write at the same time: full is full.
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  /** That file is deleted. */
  makeRoom(): void {
    rmSync(this.#filler, { force: true });
  }

  get #filler(): string {
    return join(this.folder, 'filler');
  }
}

/** Or why there is none: mounting takes root, and a system that allows it to root. */
export function mountSmallDisk(cleanup: Cleanup, mebibytes: number): SmallDisk | string {
  const folder = temporaryFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=711`, 'tmpfs', folder], { stdio: 'pipe' });
  } catch (error) {
    return `a small file system cannot be mounted here: ${error instanceof Error ? error.message : String(error)}`;
  }
  cleanup.after(() => void execFileSync('umount', ['--lazy', folder], { stdio: 'pipe' }));
  return new SmallDisk(folder);
}
