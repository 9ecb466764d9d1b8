// Why the embedded PostgreSQL could not be started or stopped: one sentence for what is wrong, one for the fix.
// The start banner prints both as they are.

import { TransportError } from './errors.ts';

export type EmbeddedPostgresCode =
  | 'BINARIES_MISSING'
  | 'PLATFORM_UNSUPPORTED'
  | 'DATA_FOLDER_NOT_WRITABLE'
  | 'DATA_FOLDER_IN_USE'
  | 'DATA_FOLDER_FOREIGN'
  | 'DISK_FULL'
  | 'NO_OPERATING_SYSTEM_USER'
  | 'VERSION_MISMATCH'
  | 'START_FAILED'
  | 'STOP_FAILED';

export class EmbeddedPostgresError extends TransportError {
  /** What to do about it, one sentence. */
  readonly fix: string;

  constructor(code: EmbeddedPostgresCode, message: string, fix: string, cause?: unknown) {
    super(code, message, { retryable: false, data: { fix }, cause });
    this.name = 'EmbeddedPostgresError';
    this.fix = fix;
  }
}

/** Whether what a PostgreSQL program printed says that the disk is full. */
export function tellsDiskFull(output: string): boolean {
  return /No space left on device|Check free disk space/.test(output);
}

/** Turns a failure to create or write something into its typed form. */
export function toFolderError(error: unknown, path: string): EmbeddedPostgresError {
  if (error instanceof EmbeddedPostgresError) return error;
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new EmbeddedPostgresError('DISK_FULL', `The disk of ${path} is full.`, 'Free space on it.', error);
  }
  return new EmbeddedPostgresError(
    'DATA_FOLDER_NOT_WRITABLE',
    `The folder ${path} cannot be created or written (${String(code ?? error)}).`,
    'Give this user the right to write there, or set SLUICE_DATA_DIR to another folder.',
    error,
  );
}
