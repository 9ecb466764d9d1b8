// What a number is worth nothing without: machine, versions, durability, sizes. Printed and stored with every result.

import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

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

export interface MachineSettings {
  node: string;
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  /** Load of the last minute before the run: a shared machine gives other figures than a quiet one. */
  loadAverage: number;
}

export interface BenchSettings extends BenchOptions, Durability, MachineSettings {}

/** A figure the product promises, and whether this run reached it. */
export interface BenchGoal {
  row: string;
  goal: string;
  measured: number | string;
  met: boolean;
}

export interface BenchResult {
  settings: object;
  rows: readonly object[];
  goals?: readonly BenchGoal[];
  /** An SVG of the result, for scenarios that are better seen than read. */
  picture?: string;
}

export function machineSettings(): MachineSettings {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

export function benchSettings(options: BenchOptions, durability: Durability): BenchSettings {
  return { ...machineSettings(), ...durability, ...options };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
