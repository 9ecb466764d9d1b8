// Checks what can be checked before anything is started, so that a start fails whole, at once, with one clear sentence
// per problem and what to do about it, instead of half-way with the message of a library.

import { randomBytes } from 'node:crypto';
import { accessSync, constants, statSync } from 'node:fs';
import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { embeddedDataDirectory } from '../transport/index.ts';
import { ballastPath } from './ballast.ts';
import type { Settings } from './config.ts';
import { plugInPaths } from './processor/enrichers.ts';

/** `name`: what was looked at. */
export type StartCheck = { name: string } & (
  | { ok: true /** What was found, for the banner. */; text: string }
  | { ok: false; problem: string; fix: string /** Of the system's error, or ''. */; code: string }
);

const mebibyte = 1024 * 1024;
/** Postgres needs room for its WAL before the first event is even there. */
const diskBytesFreeMin = 256 * mebibyte;

/** All checks, always: the operator sees every problem at once. Nothing is left behind but the data folder. */
export async function runStartChecks(settings: Settings): Promise<StartCheck[]> {
  const folder = resolve(settings.data.dir);
  const folderCheck = await checkFolder(folder);
  const diskCheck = folderCheck.ok ? [await checkDisk(folder, settings)] : [];
  const { gateway, admin, starter, workspace, backendConfig, enrichment } = settings;
  const ports = [
    ...(settings.role === 'pipeline' ? [] : [gatewayPort(gateway)]),
    { what: 'admin', host: admin.host, port: admin.port, setting: 'admin.port (SLUICE_ADMIN_PORT)' },
  ];
  if (workspace.file === '' && backendConfig.url === '') {
    const setting = 'starter.receiverPort (SLUICE_STARTER_RECEIVER_PORT)';
    ports.push({ what: 'starter receiver', host: '127.0.0.1', port: starter.receiverPort, setting });
  }
  const files = [enrichment.geoFile, ...plugInPaths(enrichment.plugIns)].filter((path) => path !== '');
  return [folderCheck, ...diskCheck, ...files.map(checkFile), ...(await Promise.all(ports.map(checkPort)))];
}

/** Undefined when all is well, else the text for standard error. */
export function formatStartProblems(checks: readonly StartCheck[]): string | undefined {
  const lines = checks.flatMap((check) => (check.ok ? [] : [`  - ${check.problem} ${check.fix}`]));
  return lines.length === 0 ? undefined : `Sluice cannot start:\n${lines.join('\n')}\n`;
}

/** Of enrichment: a thread that cannot load it would only tell when it is started. */
function checkFile(path: string): StartCheck {
  const file = resolve(path);
  try {
    accessSync(file, constants.R_OK);
    return { name: 'enrichment', ok: true, text: `${file} is readable` };
  } catch (error) {
    const code = codeOf(error);
    const fix =
      'Correct enrichment.geoFile (SLUICE_ENRICHMENT_GEO_FILE) or enrichment.plugIns (SLUICE_ENRICHMENT_PLUG_INS).';
    return { name: 'enrichment', ok: false, problem: `The file ${file} cannot be read (${code}).`, fix, code };
  }
}

async function checkFolder(folder: string): Promise<StartCheck> {
  const probe = join(folder, `.write-check-${randomBytes(6).toString('hex')}`);
  try {
    await mkdir(folder, { recursive: true });
    const file = await open(probe, 'wx');
    try {
      await file.write('can this folder keep what it is given?');
      await file.sync();
    } finally {
      await file.close();
      await rm(probe, { force: true });
    }
    return { name: 'data folder', ok: true, text: `data folder ${folder} is writable` };
  } catch (error) {
    const code = codeOf(error);
    const problem = `The data folder ${folder} cannot be written (${code}).`;
    return { name: 'data folder', ok: false, problem, fix: folderFix(code), code };
  }
}

function folderFix(code: string): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'Free some space there, or set data.dir (SLUICE_DATA_DIR) to a folder on another disk.';
    case 'ENOTDIR':
    case 'EEXIST':
      return 'A file is in the way: set data.dir (SLUICE_DATA_DIR) to a folder.';
    case 'EROFS':
      return 'The file system is read-only: set data.dir (SLUICE_DATA_DIR) to a folder on another one.';
    default:
      return 'Give this user write permission there, or set data.dir (SLUICE_DATA_DIR) to another folder.';
  }
}

/** A program that was killed while it refused events must be able to start and deliver: it needs less than that. */
function diskBytesNeeded({ diskRefuseBytes }: Settings['storage']): number {
  return Math.min(diskBytesFreeMin, Math.floor(diskRefuseBytes / 2));
}

/** The ballast is given up when hardly anything is left (ballast.ts), so it counts as free. */
async function checkDisk(folder: string, settings: Settings): Promise<StartCheck> {
  const name = 'disk';
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  const ballast = statSync(ballastPath(embeddedDataDirectory(folder)), { throwIfNoEntry: false })?.size ?? 0;
  const needed = diskBytesNeeded(settings.storage);
  if (freeBytes + ballast >= needed) return { name, ok: true, text: `${sizeText(freeBytes)} of disk free` };
  const problem = `Only ${sizeText(freeBytes)} are free on the disk of the data folder ${folder}, ${sizeText(needed)} are needed.`;
  return { name, ok: false, problem, fix: folderFix('ENOSPC'), code: 'ENOSPC' };
}

function gatewayPort({ host, port }: Settings['gateway']): PortToCheck {
  return { what: 'gateway', host, port, setting: 'gateway.port (SLUICE_GATEWAY_PORT)' };
}

interface PortToCheck {
  what: string;
  host: string;
  port: number;
  setting: string;
}

/** By a trial: a server that shares its port with others would not notice them itself. */
function checkPort({ what, host, port, setting }: PortToCheck): Promise<StartCheck> {
  const name = `${what} port`;
  if (port === 0) return Promise.resolve({ name, ok: true, text: `${what} port will be a free one` });
  return new Promise((settle) => {
    const server = createServer();
    server.once('error', (error) => {
      const code = codeOf(error);
      const problem = portProblem(code, `${host}:${port}`, what);
      settle({ name, ok: false, problem, fix: portFix(code, what, setting), code });
    });
    server.listen({ host, port, exclusive: true }, () => {
      server.close(() => settle({ name, ok: true, text: `${what} port ${port} is free` }));
    });
  });
}

function portProblem(code: string, address: string, what: string): string {
  switch (code) {
    case 'EADDRINUSE':
      return `The ${what} address ${address} is in use by another program.`;
    case 'EACCES':
      return `This user may not listen on the ${what} address ${address}.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `The ${what} address ${address} is no address of this machine.`;
    default:
      return `The ${what} address ${address} cannot be listened on (${code}).`;
  }
}

function portFix(code: string, what: string, setting: string): string {
  if (code === 'EADDRINUSE') return `Stop that program, or set ${setting} to another port, or to 0 for any free one.`;
  if (code === 'EACCES') return `Set ${setting} to a port of 1024 or above.`;
  return `Set the host and port of the ${what} to what this machine has: ${setting}.`;
}

function sizeText(bytes: number): string {
  return bytes >= 1024 * mebibyte
    ? `${(bytes / mebibyte / 1024).toFixed(1)} GiB`
    : `${Math.floor(bytes / mebibyte)} MiB`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
