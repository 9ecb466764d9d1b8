// Who may use a data folder: one Sluice at a time, or, where processes share the server in it, one at a time while it
// is being started.

import { join } from 'node:path';
import { EmbeddedPostgresError, toFolderError } from './embedded-postgres-error.ts';
import { waitUntil } from './postgres-process.ts';
import { holderOf, type ProcessLock, tryLock } from './process-lock.ts';

/** Longest wait for another process that starts the shared server; a recovery may be part of that. */
const sharedWaitMs = 600_000;

/** In a shared folder the lock covers the start only, so it is worth waiting for. */
export async function lockDataFolder(dataDir: string, sharing: 'exclusive' | 'shared'): Promise<ProcessLock> {
  const path = join(dataDir, 'postgres.lock');
  try {
    let lock = tryLock(path);
    if (lock === undefined && sharing === 'shared') {
      await waitUntil(() => {
        lock = tryLock(path);
        return lock !== undefined;
      }, sharedWaitMs);
    }
    if (lock !== undefined) return lock;
  } catch (error) {
    throw toFolderError(error, path);
  }
  throw new EmbeddedPostgresError(
    'DATA_FOLDER_IN_USE',
    `The data folder ${dataDir} is in use by another Sluice (process ${holderOf(path) ?? 'unknown'}).`,
    'Stop that one first, or set SLUICE_DATA_DIR to another folder.',
  );
}
