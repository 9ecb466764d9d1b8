// What a number is worth nothing without: machine, versions, load before the run. Stored with every result.

import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  node: string;
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  /** Load of the last minute before the run: a shared machine gives other figures than a quiet one. */
  loadAverage: number;
}

export function machineSettings(): Machine {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}
