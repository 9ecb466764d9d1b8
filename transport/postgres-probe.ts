// Questions to the embedded server through its socket: does it answer, is our database there.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openPostgres, type Postgres, PostgresError } from './postgres.ts';
import { databaseName, socketPort, superuser } from './postgres-cluster.ts';
import type { Postmaster } from './postgres-process.ts';

export function hasSocket(postmaster: Postmaster): boolean {
  return existsSync(join(postmaster.socketDir, `.s.PGSQL.${postmaster.port}`));
}

export async function answers(postmaster: Postmaster): Promise<boolean> {
  try {
    await serverVersion(openDatabase(postmaster.socketDir, 'postgres'));
    return true;
  } catch (error) {
    if (error instanceof PostgresError && error.retryable) return false;
    throw error;
  }
}

/** Creates our database in a new cluster; answers the server's version. */
export async function ensureDatabase(socketDir: string): Promise<string> {
  try {
    return await serverVersion(openDatabase(socketDir, databaseName));
  } catch (error) {
    if (!(error instanceof PostgresError) || error.sqlState !== '3D000') throw error;
  }
  const session = await openDatabase(socketDir, 'postgres').session();
  try {
    await session.query(`CREATE DATABASE ${databaseName}`);
  } finally {
    await session.close();
  }
  return serverVersion(openDatabase(socketDir, databaseName));
}

function openDatabase(socketDir: string, name: string): Postgres {
  const address = { socketDir, port: socketPort, user: superuser, database: name };
  return openPostgres({ address, applicationName: 'sluice start' });
}

async function serverVersion(postgres: Postgres): Promise<string> {
  const session = await postgres.session();
  try {
    const { rows } = await session.query<{ server_version: string }>('SHOW server_version');
    return rows[0]?.server_version ?? '';
  } finally {
    await session.close();
  }
}
