// Memory of the whole program without PostgreSQL, as the kernel counts it, held against row G4.

import { readFileSync } from 'node:fs';
import type { Program } from '../test/support/program.ts';
import { atMost, type Figure, figure, type Goal } from './harness/figures.ts';

const residentMiBMax = 600;

/** Empty where there is no /proc. */
export function programMemory(program: Program): { figures: Figure[]; goals: Goal[] } {
  const mebibytes = residentMiB(program.pid);
  if (mebibytes === undefined) return { figures: [], goals: [] };
  return {
    figures: [figure('resident memory after the load', 'MiB', 'lower', [mebibytes])],
    goals: [
      atMost('G4', 'resident memory at the highest rate, without PostgreSQL', residentMiBMax, [mebibytes], 'MiB'),
    ],
  };
}

export function residentMiB(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
    return kibibytes === undefined ? undefined : Math.round(Number(kibibytes) / 1024);
  } catch {
    return undefined;
  }
}
