// A file that holds space only to give it up: on a full disk PostgreSQL can neither write statuses nor drop tables, so
// nothing would ever become free again. Deleting this file makes room at once for both. It lies beside the cluster, on
// the same disk, and holds random bytes, because a file system that compresses would store nothing for zeros.

import { randomFillSync } from 'node:crypto';
import { rmSync, statfsSync, statSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ActorLog, Clock } from '../runtime/index.ts';

const pieceBytes = 4 * 1024 * 1024;
/** Between two pieces: events need the disk more. */
const pauseMs = 50;

export interface BallastOptions {
  path: string;
  bytes: number;
  clock: Clock;
  log: Pick<ActorLog, 'warn' | 'info'>;
}

export function ballastPath(dataDirectory: string): string {
  return `${dataDirectory}.ballast`;
}

/** Below this much free space what is left is for making room. */
export function ballastMark(refuseBytes: number): number {
  return refuseBytes / 8;
}

/** Before a start, whose first writes a full disk would refuse: gives the ballast up. The bytes that became free. */
export function releaseBallastIfFull(dataDirectory: string, refuseBytes: number): number {
  const path = ballastPath(dataDirectory);
  try {
    const { size } = statSync(path);
    const { bavail, bsize } = statfsSync(dirname(path));
    if (bavail * bsize >= ballastMark(refuseBytes)) return 0;
    rmSync(path);
    return size;
  } catch {
    // There is none, or the folder cannot be used, which the checks of the start tell.
    return 0;
  }
}

export class Ballast {
  readonly bytes: number;
  readonly #options: BallastOptions;
  #isPresent: boolean;
  #building: Promise<void> | undefined;
  #stopped = false;

  constructor(options: BallastOptions) {
    this.#options = options;
    this.bytes = options.bytes;
    this.#isPresent = statSync(options.path, { throwIfNoEntry: false })?.size === options.bytes;
    // One of another size: the setting was changed.
    if (!this.#isPresent) rmSync(options.path, { force: true });
  }

  get isPresent(): boolean {
    return this.#isPresent;
  }

  async release(): Promise<void> {
    await rm(this.#options.path, { force: true });
    this.#isPresent = false;
  }

  /** Starts to write it, piece by piece; nothing to wait for. */
  build(): void {
    this.#building ??= this.#build().finally(() => {
      this.#building = undefined;
    });
  }

  /** Resolves when nothing is being written any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#building;
  }

  async #build(): Promise<void> {
    const { path, log } = this.#options;
    const unfinished = `${path}.new`;
    let file: FileHandle | undefined;
    try {
      file = await open(unfinished, 'w', 0o600);
      if (!(await this.#fill(file))) return;
      await file.sync();
      await rename(unfinished, path);
      this.#isPresent = true;
      log.info({ path, bytes: this.bytes }, 'keeps a ballast file to be given up when the disk is full');
    } catch (error) {
      log.warn({ path, error }, 'the ballast file could not be written, which is tried again');
    } finally {
      await file?.close().catch(() => undefined);
      if (!this.#isPresent) await rm(unfinished, { force: true }).catch(() => undefined);
    }
  }

  /** False when it was stopped before the end. */
  async #fill(file: FileHandle): Promise<boolean> {
    const piece = randomFillSync(Buffer.allocUnsafe(Math.min(pieceBytes, this.bytes)));
    for (let written = 0; written < this.bytes; written += piece.byteLength) {
      if (this.#stopped) return false;
      await file.write(piece, 0, Math.min(piece.byteLength, this.bytes - written));
      await new Promise<void>((resolve) => void this.#options.clock.setTimer(pauseMs, resolve));
    }
    return true;
  }
}
