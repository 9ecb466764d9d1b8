// Keeps the workspace configuration of this process current: reads the workspace file, publishes snapshots, follows
// changes. A change is accepted whole or not at all; while the newest version is bad, the last good one stays.
//
// Changes are noticed by watching the folder (editors and Kubernetes replace the file, which a watch on the file
// itself would lose) and, as a net, by a slow poll. States of a change:
//   idle → settling   something happened in the folder, or the poll came round
//   settling → idle   the file is the one already read
//   settling → reading   the file stayed the same for a settle time: nobody is half way through writing it
//   reading → idle    published, refused, or unchanged

import { createHash } from 'node:crypto';
import { type FSWatcher, type Stats, watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import type { ActorLog, Clock, Timer } from '../../runtime/index.ts';
import type { WorkspaceSnapshot } from './workspace.ts';
import { formatWorkspaceFaults, parseWorkspaceFile } from './workspace-file.ts';
import type { WorkspaceFault } from './workspace-schema.ts';

/** A file must stay as it is for this long before it is read. */
export const settleMs = 100;
/** The net under the watch; the reference system polls as often. */
export const pollMs = 5_000;
/** Far above the largest real configuration; beyond it the file is refused unread. */
export const workspaceBytesMax = 64 * 1024 * 1024;

export interface WorkspaceFileOptions {
  path: string;
  /** Where `env.NAME` values come from. */
  environment: Readonly<Record<string, string | undefined>>;
  log: ActorLog;
  clock: Clock;
  /** Called with every accepted version, the first one included. */
  onSnapshot(snapshot: WorkspaceSnapshot): void;
}

export interface WorkspaceStatus {
  /** The file, or the address of the control plane. */
  path: string;
  version: number;
  hash: string;
  loadedAtMs: number;
  sources: number;
  destinations: number;
  /** Why the file as it is now was refused; absent when it is the version in use. */
  lastError?: { atMs: number; text: string };
}

export type ReloadOutcome = 'published' | 'unchanged' | 'refused';

/** The configuration of this process, wherever it comes from: a file (here) or a control plane. */
export interface BackendConfig {
  readonly current: WorkspaceSnapshot;
  status(): WorkspaceStatus;
  /** Reads at once, without settling: for SIGHUP and for tests. */
  reload(): Promise<ReloadOutcome>;
  close(): Promise<void>;
}

/** The file cannot be used at start. Later such a file is refused, with the same text in the log and the status. */
export class WorkspaceFileError extends Error {
  override readonly name = 'WorkspaceFileError';
  readonly code: 'WORKSPACE_INVALID' | 'WORKSPACE_UNREADABLE';
  readonly retryable = false;
  readonly faults: readonly WorkspaceFault[];

  constructor(code: WorkspaceFileError['code'], message: string, faults: readonly WorkspaceFault[]) {
    super(message);
    this.code = code;
    this.faults = faults;
  }
}

/** Rejects with WorkspaceFileError when the first version is not good. */
export async function openWorkspaceFile(options: WorkspaceFileOptions): Promise<BackendConfig> {
  const path = resolve(options.path);
  const first = await readVersion(path, options.environment);
  if (first.error !== undefined) throw first.error;
  const snapshot: WorkspaceSnapshot = {
    version: 1,
    hash: first.hash,
    loadedAtMs: options.clock.nowMs(),
    sources: first.sources,
  };
  const file = new WatchedWorkspaceFile({ ...options, path }, snapshot, first.identity);
  options.onSnapshot(snapshot);
  return file;
}

class WatchedWorkspaceFile implements BackendConfig {
  #current: WorkspaceSnapshot;
  #lastError: { atMs: number; text: string } | undefined;
  /** Identity of the version that was read last, good or bad. */
  #readIdentity: string;
  #settlingIdentity: string | undefined;
  #settleTimer: Timer | undefined;
  #pollTimer: Timer;
  #watcher: FSWatcher | undefined;
  #watchFailed = false;
  /** Reads run one after the other; this is the last of them. */
  #reading: Promise<unknown> = Promise.resolve();
  #closed = false;
  readonly #options: WorkspaceFileOptions;

  constructor(options: WorkspaceFileOptions, first: WorkspaceSnapshot, identity: string) {
    this.#options = options;
    this.#current = first;
    this.#readIdentity = identity;
    this.#watch();
    this.#pollTimer = options.clock.setTimer(pollMs, () => this.#poll());
  }

  get current(): WorkspaceSnapshot {
    return this.#current;
  }

  status(): WorkspaceStatus {
    const { version, hash, loadedAtMs, sources } = this.#current;
    const destinations = sources.reduce((sum, source) => sum + source.destinations.length, 0);
    const status = { path: this.#options.path, version, hash, loadedAtMs, sources: sources.length, destinations };
    return this.#lastError === undefined ? status : { ...status, lastError: this.#lastError };
  }

  reload(): Promise<ReloadOutcome> {
    const outcome = this.#reading.then(() => this.#read());
    // Only its end matters to the next one; whoever called gets the failure.
    this.#reading = outcome.catch(() => undefined);
    return outcome;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#settleTimer?.cancel();
    this.#pollTimer.cancel();
    this.#watcher?.close();
    await this.#reading;
  }

  #watch(): void {
    try {
      const watcher = watch(dirname(this.#options.path), { persistent: false }, () => this.#settle());
      watcher.on('error', (error) => {
        watcher.close();
        this.#watcher = undefined;
        this.#reportWatchFailure(error);
      });
      this.#watcher = watcher;
      this.#watchFailed = false;
    } catch (error) {
      this.#reportWatchFailure(error);
    }
  }

  #reportWatchFailure(error: unknown): void {
    if (this.#watchFailed) return;
    this.#watchFailed = true;
    const fields = { path: this.#options.path, code: codeOf(error), pollMs };
    this.#options.log.warn(fields, 'cannot watch the folder of the workspace file; changes are found by polling');
  }

  #poll(): void {
    if (this.#watcher === undefined) this.#watch();
    this.#settle();
    this.#pollTimer = this.#options.clock.setTimer(pollMs, () => this.#poll());
  }

  #settle(): void {
    if (this.#closed || this.#settleTimer !== undefined) return;
    this.#settleTimer = this.#options.clock.setTimer(settleMs, () => {
      // Cannot reject: identityOf answers every failure with an identity of its own.
      void this.#checkSettled();
    });
  }

  async #checkSettled(): Promise<void> {
    const identity = await identityOf(this.#options.path);
    this.#settleTimer = undefined;
    if (this.#closed) return;
    if (identity === this.#readIdentity) {
      this.#settlingIdentity = undefined;
    } else if (identity === this.#settlingIdentity) {
      this.#settlingIdentity = undefined;
      await this.reload();
    } else {
      this.#settlingIdentity = identity;
      this.#settle();
    }
  }

  async #read(): Promise<ReloadOutcome> {
    const { path, environment, clock, log, onSnapshot } = this.#options;
    const version = await readVersion(path, environment, this.#current.hash);
    this.#readIdentity = version.identity;
    if (this.#closed) return 'unchanged';
    if (version.error !== undefined) {
      const text = version.error.message;
      const isNews = this.#lastError?.text !== text;
      this.#lastError = { atMs: clock.nowMs(), text };
      if (isNews)
        log.error({ path, faults: text }, 'refused the new workspace file; the last good version stays in use');
      return 'refused';
    }
    if (version.hash === this.#current.hash) {
      this.#lastError = undefined;
      return 'unchanged';
    }
    this.#lastError = undefined;
    this.#current = {
      version: this.#current.version + 1,
      hash: version.hash,
      loadedAtMs: clock.nowMs(),
      sources: version.sources,
    };
    log.info({ path, version: this.#current.version, hash: version.hash }, 'took over the new workspace file');
    onSnapshot(this.#current);
    return 'published';
  }
}

interface Version {
  identity: string;
  hash: string;
  sources: WorkspaceSnapshot['sources'];
  error?: WorkspaceFileError;
}

/** `knownHash` saves the parsing of a version that is in use already; its sources are then left out. */
async function readVersion(
  path: string,
  environment: WorkspaceFileOptions['environment'],
  knownHash?: string,
): Promise<Version> {
  // Taken before reading: if the file changes meanwhile, the next look finds another identity and reads again.
  const identity = await identityOf(path);
  const bytes = await readBytes(path);
  if (bytes instanceof WorkspaceFileError) return { identity, hash: '', sources: [], error: bytes };
  const hash = createHash('sha256').update(bytes).digest('hex');
  if (hash === knownHash) return { identity, hash, sources: [] };
  const reading = parseWorkspaceFile({ path, bytes, environment });
  if (reading.ok) return { identity, hash, sources: reading.sources };
  const count = `${reading.faults.length} ${reading.faults.length === 1 ? 'fault' : 'faults'}`;
  const message = `${basename(path)} has ${count}: ${formatWorkspaceFaults(reading.faults)}`;
  return { identity, hash, sources: [], error: new WorkspaceFileError('WORKSPACE_INVALID', message, reading.faults) };
}

async function readBytes(path: string): Promise<Uint8Array | WorkspaceFileError> {
  try {
    const { size } = await stat(path);
    if (size <= workspaceBytesMax) return await readFile(path);
    const fault = { path: '', expected: `a file of at most ${workspaceBytesMax} bytes`, got: `${size} bytes` };
    return new WorkspaceFileError('WORKSPACE_INVALID', `expected ${fault.expected}, got ${fault.got}`, [fault]);
  } catch (error) {
    const fault = { path: '', expected: 'a readable file', got: codeOf(error) };
    return new WorkspaceFileError('WORKSPACE_UNREADABLE', `${path} cannot be read (${fault.got})`, [fault]);
  }
}

/** Changes with every write and every replacement of the file; cheap enough to ask for at every poll. */
async function identityOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs }: Stats = await stat(path);
    return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
  } catch (error) {
    return codeOf(error);
  }
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown error';
}
