// What a number is worth nothing without: machine, versions, durability, sizes. Printed and stored with every result.

import { availableParallelism, cpus, release, totalmem } from 'node:os';

export interface BenchOptions {
  seconds: number;
  warmUpSeconds: number;
  /** 0: the scenario's own. */
  connections: number;
  rounds: number;
  eventBytes: number;
}

export interface Durability {
  postgres: string;
  fsync: string;
  synchronousCommit: string;
}

export interface BenchSettings extends BenchOptions, Durability {
  node: string;
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
}

export function benchSettings(options: BenchOptions, durability: Durability): BenchSettings {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    ...durability,
    ...options,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
