// The postmaster as a process: runs initdb and pg_ctl as the right user, knows whether a server is running on a
// cluster, and waits for it. The server is never our child: it must survive Ctrl-C (we drain first) and our own death
// (the next start adopts it).

import { spawn } from 'node:child_process';
import {
  closeSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { PostgresBinaries } from './postgres-binaries.ts';
import type { OperatingSystemUser } from './postgres-user.ts';
import { isAlive } from './process-lock.ts';

export interface Cluster {
  dir: string;
  user: OperatingSystemUser | undefined;
  binaries: PostgresBinaries;
}

export interface Postmaster {
  pid: number;
  port: number;
  socketDir: string;
  /** As Postgres writes it: starting, ready, stopping, standby. */
  status: string;
}

export interface ProgramResult {
  /** Null when it was killed or could not be started. */
  exitCode: number | null;
  output: string;
}

const outputBytesMax = 64 * 1024;
const logTailBytes = 16 * 1024;
const pollMs = 25;
/** Beyond the largest process id Linux and macOS give out. */
const impossiblePid = 4_194_305;

export function serverLogOf(clusterDir: string): string {
  return join(clusterDir, 'server.log');
}

/** The live postmaster of this cluster. A postmaster.pid that names a process of somebody else does not count. */
export function findPostmaster(clusterDir: string): Postmaster | undefined {
  const lines = readLines(join(clusterDir, 'postmaster.pid'));
  const pid = Math.abs(Number.parseInt(lines[0] ?? '', 10));
  if (!Number.isSafeInteger(pid) || pid === 0 || !isAlive(pid) || !runsIn(pid, clusterDir)) return undefined;
  return {
    pid,
    port: Number.parseInt(lines[3] ?? '', 10) || 0,
    socketDir: (lines[4] ?? '').split(',')[0]?.trim() ?? '',
    status: (lines[7] ?? 'starting').trim(),
  };
}

/**
 * Lock files left by a power loss or SIGKILL may name a process id that somebody else has by now (in containers that
 * is the rule), or that of a dead process nobody has buried yet, and Postgres would take that for a running server.
 * The id is replaced by one that cannot exist; the rest of the file stays, because Postgres finds by it whether server
 * processes of the lost postmaster still live. Only for the one who holds the data folder.
 */
export function disarmStaleLocks(clusterDir: string, socketDir: string, port: number): void {
  if (findPostmaster(clusterDir) !== undefined) return;
  for (const path of [join(clusterDir, 'postmaster.pid'), join(socketDir, `.s.PGSQL.${port}.lock`)]) {
    const lines = readLines(path);
    if (lines.length > 0) writeFileSync(path, [String(impossiblePid), ...lines.slice(1)].join('\n'));
  }
}

/** The postmaster's working folder is its cluster. Where the system does not tell, the process id must do. */
function runsIn(pid: number, clusterDir: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(clusterDir);
  } catch (error) {
    return Reflect.get(Object(error), 'code') !== 'EACCES';
  }
}

export function initialiseCluster(cluster: Cluster, superuser: string): Promise<ProgramResult> {
  const args = [
    '-D',
    cluster.dir,
    '-U',
    superuser,
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--data-checksums',
  ];
  return runProgram(cluster, cluster.binaries.initdb, [...args, '--no-instructions'], true);
}

/** Answers when the server takes connections, or gave up. */
export function startServer(cluster: Cluster, timeoutMs: number): Promise<ProgramResult> {
  const args = ['start', '-D', cluster.dir, '-l', serverLogOf(cluster.dir), '-w', '-s', '-t', seconds(timeoutMs)];
  return runProgram(cluster, cluster.binaries.pgCtl, args, false);
}

export function stopServer(cluster: Cluster, mode: 'fast' | 'immediate', timeoutMs: number): Promise<ProgramResult> {
  const args = ['stop', '-D', cluster.dir, '-m', mode, '-w', '-s', '-t', seconds(timeoutMs)];
  return runProgram(cluster, cluster.binaries.pgCtl, args, true);
}

/** Polls until `done` holds or the time is over; says which. `onPoll` is called every `tellMs`. */
export async function waitUntil(
  done: () => boolean | Promise<boolean>,
  timeoutMs: number,
  tellMs = 0,
  onTell?: () => void,
): Promise<boolean> {
  const beganAt = Date.now();
  let toldAt = beganAt;
  while (!(await done())) {
    const now = Date.now();
    if (now - beganAt > timeoutMs) return false;
    if (onTell !== undefined && now - toldAt >= tellMs) {
      toldAt = now;
      onTell();
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return true;
}

export function serverLogBytes(clusterDir: string): number {
  return statSync(serverLogOf(clusterDir), { throwIfNoEntry: false })?.size ?? 0;
}

/** Lines the server wrote since its log had `offset` bytes (the last of them, if many). */
export function serverLogSince(clusterDir: string, offset: number): string[] {
  const start = Math.max(offset, serverLogBytes(clusterDir) - logTailBytes);
  try {
    const file = openSync(serverLogOf(clusterDir), 'r');
    try {
      const bytes = Buffer.alloc(logTailBytes);
      const length = readSync(file, bytes, 0, bytes.byteLength, start);
      return bytes
        .toString('utf8', 0, length)
        .split('\n')
        .filter((line) => line !== '');
    } finally {
      closeSync(file);
    }
  } catch {
    return [];
  }
}

/**
 * A session of its own (`detached`), so that signals to our terminal's process group do not reach it, and nothing of
 * our environment but what decides texts: PGDATA, PGPORT and the like would change where the server runs. A server
 * keeps the streams it inherits for ever, so the one that starts it gets none.
 */
function runProgram(cluster: Cluster, program: string, args: string[], wantsOutput: boolean): Promise<ProgramResult> {
  const { user } = cluster;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: '/',
      detached: true,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', wantsOutput ? 'pipe' : 'ignore', wantsOutput ? 'pipe' : 'ignore'],
      ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
    });
    let output = '';
    const keep = (piece: Buffer): void => {
      if (output.length < outputBytesMax) output += piece.toString('utf8');
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('error', (error) => resolve({ exitCode: null, output: error.message }));
    child.once('close', (exitCode) => resolve({ exitCode, output }));
  });
}

function seconds(ms: number): string {
  return String(Math.max(1, Math.ceil(ms / 1000)));
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((line, index) => index > 0 || line !== '');
  } catch {
    return [];
  }
}
