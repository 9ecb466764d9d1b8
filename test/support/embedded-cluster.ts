// Looks at the embedded PostgreSQL of a data folder from outside the program: its process, its end, its tables.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openPostgres, type Postgres } from '../../transport/index.ts';
import { type Cleanup, lastFirst } from './cleanup.ts';
import { pollUntil } from './poll.ts';

/** Process id of the postmaster that runs on the data folder; undefined when none does. */
export function postmasterPid(dataDir: string): number | undefined {
  const pid = Number(pidFileLines(dataDir)[0]);
  return Number.isInteger(pid) && pid > 0 && isRunning(pid) ? pid : undefined;
}

/** SIGKILL, like the kernel's out-of-memory killer. Resolves when the process is gone. */
export async function killPostmaster(dataDir: string): Promise<void> {
  const pid = postmasterPid(dataDir);
  if (pid === undefined) return;
  process.kill(pid, 'SIGKILL');
  await pollUntil(`postmaster ${pid} to be gone`, () => (isRunning(pid) ? undefined : true));
}

/**
 * SIGSTOP for the postmaster and every server process: sockets stay open, nobody answers. They go on at the end of the
 * test, or with the function that comes back.
 */
export function freezeCluster(cleanup: Cleanup, dataDir: string): () => void {
  const postmaster = postmasterPid(dataDir);
  if (postmaster === undefined) throw new Error('expected PostgreSQL to run');
  const processes = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const servers = processes.flatMap(([pid = 0, parent]) => (parent === postmaster ? pid : []));
  const frozen = [postmaster, ...servers];
  for (const pid of frozen) process.kill(pid, 'SIGSTOP');
  const thaw = (): void => {
    for (const pid of frozen.splice(0)) if (isRunning(pid)) process.kill(pid, 'SIGCONT');
  };
  lastFirst(cleanup).after(thaw);
  return thaw;
}

/** A pool on the embedded server's socket, for questions the program does not answer. */
export function openCluster(cleanup: Cleanup, dataDir: string): Postgres {
  const [, , , port = '', socketDir = ''] = pidFileLines(dataDir);
  const address = { socketDir, port: Number(port), user: 'sluice', database: 'sluice' };
  const postgres = openPostgres({ address, applicationName: 'sluice test' });
  lastFirst(cleanup).after(() => postgres.close());
  return postgres;
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  return !isZombie(pid);
}

/** A process whose parent is gone stays in the table until somebody reaps it; it holds nothing any more. */
function isZombie(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  try {
    return existsSync(stat) && /\) Z /.test(readFileSync(stat, 'utf8'));
  } catch {
    // It ended between the two calls.
    return true;
  }
}

/** The postmaster's own file, wherever its cluster had to be put. */
export function postmasterPidFile(dataDir: string): string {
  const location = join(dataDir, 'postgres.location');
  const cluster = existsSync(location) ? readFileSync(location, 'utf8').trim() : join(dataDir, 'postgres');
  return join(cluster, 'postmaster.pid');
}

function pidFileLines(dataDir: string): string[] {
  const file = postmasterPidFile(dataDir);
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
}
