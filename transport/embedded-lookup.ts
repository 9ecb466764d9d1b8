// Finds the embedded PostgreSQL that runs on a data folder, without taking the folder or starting anything: for
// commands that look at a program's database while the program runs.

import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { PostgresAddress } from './postgres.ts';
import { databaseName, superuser } from './postgres-cluster.ts';
import { hasSocket } from './postgres-probe.ts';
import { findPostmaster } from './postgres-process.ts';

export interface RunningPostgres {
  address: PostgresAddress;
  /** Where the data truly is. */
  dataDirectory: string;
  pid: number;
}

/** Undefined when none runs there, or it is not ready. */
export function findRunningPostgres(dataDir: string): RunningPostgres | undefined {
  const dataDirectory = embeddedDataDirectory(dataDir);
  const postmaster = findPostmaster(dataDirectory);
  if (postmaster === undefined || postmaster.status !== 'ready' || !hasSocket(postmaster)) return undefined;
  const { socketDir, port, pid } = postmaster;
  return { address: { socketDir, port, user: superuser, database: databaseName }, dataDirectory, pid };
}

/** Where the cluster of a data folder is, or would be. */
export function embeddedDataDirectory(dataDir: string): string {
  try {
    const recorded = readFileSync(join(dataDir, 'postgres.location'), 'utf8').trim();
    if (recorded !== '') return recorded;
    return join(realpathSync(dataDir), 'postgres');
  } catch {
    return join(dataDir, 'postgres');
  }
}
