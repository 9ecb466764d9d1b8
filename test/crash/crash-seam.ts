// What an instrumented module calls at each of its crash points (crash-points.ts): counts them, and at the chosen
// occurrence of the chosen one kills with SIGKILL, there and then, without a turn of the event loop in between. The
// victim is this process, or PostgreSQL with all its server processes. Only the copy of the program made for the crash
// matrix imports this file.

import { readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

export type CrashKind = 'self' | 'postgres';

export interface CrashOrder {
  point: string;
  /** 1: the first time. */
  occurrence: number;
  kind: CrashKind;
  /** For the kind `postgres`. */
  postmasterPidFile: string;
}

let order = orderOfEnvironment();
let left = order?.occurrence ?? 0;
let counts = new Map<string, number>();
let onCrash: () => void = () => undefined;

/** From now on; called again, the earlier order is void. `crashed` is called when PostgreSQL was killed. */
export function arm(next: CrashOrder, crashed: () => void): void {
  order = next;
  left = next.occurrence;
  onCrash = crashed;
}

/** How often each point was reached since the last call. */
export function takeCounts(): Record<string, number> {
  const taken = Object.fromEntries(counts);
  counts = new Map();
  return taken;
}

export function before(name: string): void {
  reach(`${name}:before`);
}

export function sent<Value>(name: string, value: Value): Value {
  reach(`${name}:sent`);
  return value;
}

export function after<Value>(name: string, value: Value): Value {
  reach(`${name}:after`);
  return value;
}

export function entry(name: string): void {
  reach(`${name}:entry`);
}

export function exit(name: string): void {
  reach(`${name}:exit`);
}

function reach(point: string): void {
  counts.set(point, (counts.get(point) ?? 0) + 1);
  if (order === undefined || order.point !== point) return;
  left -= 1;
  if (left > 0) return;
  const { kind, postmasterPidFile } = order;
  order = undefined;
  if (kind === 'self') process.kill(process.pid, 'SIGKILL');
  else {
    killPostgres(postmasterPidFile);
    onCrash();
  }
}

/** The postmaster first, so that it starts nothing anew, then everybody it had started. */
function killPostgres(pidFile: string): void {
  const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10);
  const children = childrenOf(pid);
  process.kill(pid, 'SIGKILL');
  for (const child of children) {
    try {
      process.kill(child, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
}

/** Linux tells; elsewhere server processes find out on their own that the postmaster is gone. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** `CRASH_POINT=<point>@<occurrence>`, for programs that are started with their end already decided. */
function orderOfEnvironment(): CrashOrder | undefined {
  const { CRASH_POINT: text = '', CRASH_KIND: kind, CRASH_PID_FILE: file = '' } = process.env;
  const [point = '', occurrence = '1'] = text.split('@');
  if (point === '') return undefined;
  const where = isMainThread ? 'main' : 'worker';
  if (kind !== 'self' && kind !== 'postgres') throw new Error(`expected CRASH_KIND in the ${where} thread`);
  return { point, occurrence: Number(occurrence), kind, postmasterPidFile: file };
}
