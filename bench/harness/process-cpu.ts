// CPU time of a process, its threads or its children, from /proc. Where there is no /proc there is no answer, and the
// report leaves the split out.

import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second on every platform Node runs on. */
const msPerTick = 10;
const v8Threads = 5;

export interface CpuReading {
  atMs: number;
  /** Milliseconds of CPU by consumer. */
  consumed: Readonly<Record<string, number>>;
}

/** By name: a process with all its threads, or a postmaster with its children. */
export interface CpuConsumers {
  processes: Readonly<Record<string, number>>;
  families: Readonly<Record<string, number | undefined>>;
  /** Told thread by thread: the main one, and the others by how busy they are. */
  threadsOf?: { name: string; pid: number };
}

export function readCpu({ processes, families, threadsOf }: CpuConsumers): CpuReading {
  const consumed: Record<string, number> = {};
  for (const [name, pid] of Object.entries(processes)) consumed[name] = ownMs(`/proc/${pid}/stat`);
  for (const [name, pid] of Object.entries(families)) if (pid !== undefined) consumed[name] = familyMs(pid);
  if (threadsOf !== undefined) {
    const tids = folderNames(`/proc/${threadsOf.pid}/task`).map(Number);
    for (const [index, tid] of tids.sort((one, other) => one - other).entries()) {
      const name = `${threadsOf.name} ${threadName(index)}`;
      consumed[name] = (consumed[name] ?? 0) + ownMs(`/proc/${threadsOf.pid}/task/${tid}/stat`);
    }
  }
  return { atMs: performance.now(), consumed };
}

/** Milliseconds of CPU per second between two readings; threads below one are put together. */
export function cpuShares(before: CpuReading, after: CpuReading): Record<string, number> {
  const seconds = Math.max(after.atMs - before.atMs, 1) / 1000;
  const shares: Record<string, number> = {};
  for (const [name, ms] of Object.entries(after.consumed)) {
    const share = (ms - (before.consumed[name] ?? 0)) / seconds;
    const isIdleThread = share < 1 && / thread \d/.test(name);
    const key = isIdleThread ? name.replace(/ thread \d+$/, ' other threads') : name;
    shares[key] = (shares[key] ?? 0) + Math.max(share, 0);
  }
  return shares;
}

/** By the order in which Node starts them: its main thread, V8's own (collection, compilation), then everybody else. */
function threadName(index: number): string {
  if (index === 0) return 'main';
  return index <= v8Threads ? 'V8 threads' : `thread ${index - v8Threads}`;
}

/** Of the text of a `stat` file: user and system time of the process or thread. */
export function cpuMsOfStat(text: string): number {
  const fields = fieldsOf(text);
  return (Number(fields[11]) + Number(fields[12])) * msPerTick;
}

function ownMs(stat: string): number {
  const fields = statFields(stat);
  return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) * msPerTick;
}

/** The parent, its children alive, and its children that ended and were waited for. */
function familyMs(parent: number): number {
  const own = statFields(`/proc/${parent}/stat`);
  if (own === undefined) return 0;
  let ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(own[index]), 0);
  for (const pid of folderNames('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const fields = statFields(`/proc/${pid}/stat`);
    if (fields !== undefined && Number(fields[1]) === parent) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * msPerTick;
}

/** From the state on: the name before it may hold anything. */
function statFields(file: string): string[] | undefined {
  try {
    return fieldsOf(readFileSync(file, 'utf8'));
  } catch {
    // It ended meanwhile, or there is no /proc.
    return undefined;
  }
}

function fieldsOf(text: string): string[] {
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function folderNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
