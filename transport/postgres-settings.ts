// Configuration of the embedded PostgreSQL by the size of the machine, as the text of a file that postgresql.conf
// includes. It is written anew at every start, so a machine that grew is used; what the operator wants different goes
// behind the include line of postgresql.conf, which is never touched again.

import { statfsSync } from 'node:fs';
import { totalmem } from 'node:os';

export interface MachineSize {
  memoryBytes: number;
  /** Size of the disk with the cluster. */
  diskBytes: number;
}

const mebibyte = 1024 * 1024;
const sharedBuffersMinMiB = 64;
/** More has no use for tables that are written once, read from memory and dropped whole. */
const sharedBuffersMaxMiB = 2048;

const walMinMiB = 256;
const walMaxMiB = 4096;

/** Settings by name. Values are written as they are: quote text. */
export type PostgresSettings = Readonly<Record<string, string | number>>;

/** In a container what counts is its limit, not the memory of the machine. */
export function measureMachine(clusterDir: string): MachineSize {
  const limit = process.constrainedMemory();
  const { bsize, blocks } = statfsSync(clusterDir);
  return { memoryBytes: limit > 0 ? Math.min(limit, totalmem()) : totalmem(), diskBytes: bsize * blocks };
}

export function settingsFor(machine: MachineSize): PostgresSettings {
  const quarter = Math.floor(machine.memoryBytes / 4 / mebibyte);
  const sharedBuffersMiB = Math.min(sharedBuffersMaxMiB, Math.max(sharedBuffersMinMiB, quarter));
  // A tenth of the disk at most: the log must never be what fills a small one.
  const walMiB = Math.min(walMaxMiB, Math.max(walMinMiB, Math.floor(machine.diskBytes / 10 / mebibyte)));
  return {
    listen_addresses: "''",
    max_connections: 64,
    shared_buffers: `${sharedBuffersMiB}MB`,
    effective_cache_size: `${Math.max(sharedBuffersMiB, Math.floor((machine.memoryBytes * 0.6) / mebibyte))}MB`,
    huge_pages: 'try',
    work_mem: '16MB',
    maintenance_work_mem: `${Math.min(512, Math.max(64, Math.floor(quarter / 8)))}MB`,
    // Durability (design, promise P1).
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    // The same rows are never rewritten: rare checkpoints mean few full-page images, at the price of a longer recovery.
    wal_level: 'replica',
    max_wal_size: `${walMiB}MB`,
    min_wal_size: `${Math.floor(walMiB / 8)}MB`,
    checkpoint_timeout: '15min',
    checkpoint_completion_target: 0.9,
    wal_compression: 'on',
    wal_buffers: '16MB',
    max_wal_senders: 3,
    jit: 'off',
    // Our statements are small; workers would need shared memory that containers often lack.
    max_parallel_workers_per_gather: 0,
    // Append-only tables: nothing to vacuum but the visibility map and the statistics.
    autovacuum_vacuum_insert_scale_factor: 0.02,
    autovacuum_analyze_scale_factor: 0.05,
    autovacuum_naptime: '30s',
    default_toast_compression: 'pglz',
    log_line_prefix: "'%m [%p] %a '",
    log_checkpoints: 'off',
    log_timezone: "'UTC'",
    timezone: "'UTC'",
  };
}

/** Text of the included file. `socketDir` is where the unix socket appears. */
export function settingsText(settings: PostgresSettings, socketDir: string, port: number): string {
  const lines = [
    '# Written by Sluice at every start: changes here are lost. Put yours at the end of postgresql.conf.',
    `port = ${port}`,
    `unix_socket_directories = '${quoted(socketDir)}'`,
    'unix_socket_permissions = 0700',
    ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
  ];
  return `${lines.join('\n')}\n`;
}

function quoted(text: string): string {
  return text.replaceAll("'", "''");
}
