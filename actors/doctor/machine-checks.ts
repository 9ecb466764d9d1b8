// Checks of the machine: the Node that runs us, the HTTP engine, open files, inodes and shared memory. Where the data
// folder and the ports stand is looked at by the start's own checks.

import { readFile, stat, statfs } from 'node:fs/promises';
import { fastEngineProblem } from '../../transport/index.ts';
import { type Finding, failed, passed, warned } from './contract.ts';

const nodeMin = [20, 19] as const;
const openFilesMin = 1_024;
const openFilesGood = 16_384;
const inodesMin = 1_000;
const inodesGood = 20_000;
const mebibyte = 1024 * 1024;
const sharedMemoryMin = 16 * mebibyte;
/** f_type of tmpfs and ramfs (statfs(2)). */
const memoryFileSystems = [0x0102_1994, 0x8584_58f6];

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const isGood = major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1]);
  if (isGood) return passed('Node', version);
  return failed('Node', `${version} is too old`, `Install Node ${nodeMin.join('.')} or later.`);
}

export async function checkHttpEngine(setting: string): Promise<Finding> {
  const name = 'HTTP engine';
  if (setting === 'node') return passed(name, 'node:http, as configured');
  const problem = await fastEngineProblem();
  if (problem === '') return passed(name, 'uWebSockets.js loads');
  const fix =
    'Use Node 20, or Node 22 and later with glibc 2.38 or later, and install the optional packages (`npm ci`).';
  if (setting === 'uws') return failed(name, problem, `${fix} Or set http.engine to auto.`);
  return warned(name, `node:http, the slower one: ${problem}`, fix);
}

/** Every connection is an open file. Where the system does not tell, nothing is said against it. */
export async function checkOpenFiles(): Promise<Finding> {
  const name = 'open files';
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const [, soft = ''] = /^Max open files\s+(\S+)/m.exec(limits) ?? [];
  if (soft === '' || soft === 'unlimited') return passed(name, soft === '' ? 'not told by this system' : soft);
  const found = `at most ${soft}`;
  const fix = 'Raise the limit: `ulimit -n 65536`, or LimitNOFILE=65536 of the service.';
  if (Number(soft) < openFilesMin) return failed(name, found, fix);
  return Number(soft) < openFilesGood ? warned(name, found, fix) : passed(name, found);
}

/** Of the disk with the embedded database. */
export async function checkDataDisk(dataDirectory: string): Promise<Finding[]> {
  const { files, ffree, type } = await statfs(dataDirectory);
  const findings = [inodes(files, ffree), await checkPermissions(dataDirectory)];
  if (!memoryFileSystems.includes(type)) return findings;
  const fix = 'Set data.dir (SLUICE_DATA_DIR) to a folder on a disk.';
  return [...findings, failed('file system', `${dataDirectory} is in memory: a power cut takes every event`, fix)];
}

function inodes(files: number, free: number): Finding {
  // Some file systems make them as needed and tell 0.
  if (files === 0) return passed('inodes', 'made as needed');
  const found = `${free} of ${files} free`;
  const fix = 'Remove small files from that disk, or set data.dir (SLUICE_DATA_DIR) to another one.';
  if (free < inodesMin) return failed('inodes', found, fix);
  return free < inodesGood ? warned('inodes', found, fix) : passed('inodes', found);
}

async function checkPermissions(dataDirectory: string): Promise<Finding> {
  const { mode } = await stat(dataDirectory);
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  if ((mode & 0o027) === 0) return passed('permissions', `${dataDirectory} is closed to others (${shown})`);
  return failed('permissions', `${dataDirectory} is open to others (${shown})`, `Run: chmod 700 ${dataDirectory}`);
}

/** For the embedded server, whose shared memory is this machine's. */
export async function checkSharedMemory(): Promise<Finding> {
  const name = '/dev/shm';
  try {
    const { bavail, bsize } = await statfs(name);
    const freeBytes = bavail * bsize;
    const found = `${Math.floor(freeBytes / mebibyte)} MiB free`;
    if (freeBytes >= sharedMemoryMin) return passed(name, found);
    return failed(name, found, 'Give the container more shared memory: `docker run --shm-size=256m`.');
  } catch {
    return passed(name, 'not used by this system');
  }
}
