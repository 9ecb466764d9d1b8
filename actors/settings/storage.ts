// Settings of the storage engine: groups, datasets, retention and what may be held in memory.

import { integer } from '../../runtime/index.ts';
import { mebibyte } from './sizes.ts';

export const storageSettings = {
  lanes: integer({
    default: 1,
    min: 1,
    max: 64,
    doc: 'Storage lanes: independent logs with a writer each, shared among the processes on one database. All of a workspace is in one lane. Changed only when nothing is pending',
  }),
  groupRowsMax: integer({ default: 5_000, min: 1, max: 100_000, doc: 'Rows in one group commit' }),
  groupBytesMax: integer({
    default: 16 * mebibyte,
    min: 64 * 1024,
    max: 1024 * mebibyte,
    doc: 'Bytes in one group commit',
  }),
  copyRowsMin: integer({
    default: 64,
    min: 1,
    max: 100_000,
    doc: 'From this many rows on a group uses COPY, below one INSERT statement',
  }),
  handOffBytesMax: integer({
    default: 64 * mebibyte,
    min: mebibyte,
    max: 16_384 * mebibyte,
    doc: 'Committed jobs kept in memory for hand-off; beyond: read back from Postgres',
  }),
  datasetRowsMax: integer({
    default: 500_000,
    min: 100,
    max: 100_000_000,
    doc: 'Jobs in a dataset before it is rolled',
  }),
  datasetBytesMax: integer({
    default: 1024 * mebibyte,
    min: mebibyte,
    max: 102_400 * mebibyte,
    doc: 'Bytes in a dataset before it is rolled',
  }),
  datasetAgeMs: integer({
    default: 6 * 3_600_000,
    min: 1_000,
    max: 31_536_000_000,
    doc: 'Age of a dataset at which it is sealed and the next one begins',
  }),
  residueRowsMax: integer({
    default: 10_000,
    min: 0,
    max: 1_000_000,
    doc: 'Unfinished jobs that are moved out of sealed datasets at once, so that those can be dropped; 0: none are',
  }),
  residuePercentMax: integer({
    default: 10,
    min: 1,
    max: 100,
    doc: 'A sealed dataset gives its unfinished jobs away once they are at most so many percent of its jobs',
  }),
  retentionMs: integer({
    default: 86_400_000,
    min: 0,
    max: 31_536_000_000,
    doc: 'Finished datasets are kept this long for look-up',
  }),
  retentionBytesMax: integer({
    default: 10_240 * mebibyte,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    doc: 'Bytes of datasets kept per queue; beyond, the oldest finished one is dropped',
  }),
  maintenanceTimeoutMs: integer({
    default: 600_000,
    min: 1_000,
    max: 86_400_000,
    doc: 'Longest single statement of maintenance: an index, a move, a drop',
  }),
  readRowsMax: integer({
    default: 5_000,
    min: 1,
    max: 100_000,
    doc: 'Rows of one backlog read, over all partitions',
  }),
  readBytesMax: integer({
    default: 32 * mebibyte,
    min: 64 * 1024,
    max: 128 * mebibyte,
    doc: 'Bytes of one backlog read, over all partitions',
  }),
  ledgerCheckMs: integer({
    default: 600_000,
    min: 0,
    max: 86_400_000,
    doc: "How often the ledger's tables are compared with what is known in memory; 0: never",
  }),
  queueBytesMax: integer({
    default: 0,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    doc: 'Bytes that may wait in one queue; beyond: 503 for everybody. 0: no limit but the disk',
  }),
  workspaceBytesMax: integer({
    default: 0,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    doc: 'Bytes of one workspace that may wait, in all queues; beyond: 429 for its sources (not with isolation none). 0: no limit',
  }),
  diskWarnBytes: integer({
    default: 4096 * mebibyte,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    doc: 'Free space on the disk of the embedded PostgreSQL below which an alarm is raised',
  }),
  diskShedBytes: integer({
    default: 1024 * mebibyte,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    doc: 'Below this the workspaces that hold half of what waits are refused (429)',
  }),
  diskRefuseBytes: integer({
    default: 512 * mebibyte,
    min: 16 * mebibyte,
    max: Number.MAX_SAFE_INTEGER,
    doc: 'Below this every event is refused (503); what was accepted is still delivered',
  }),
  ballastBytes: integer({
    default: 256 * mebibyte,
    min: 0,
    max: 1024 * 1024 * mebibyte,
    doc: 'Size of a file kept beside the embedded database only to be given up when its disk is full; 0: none',
  }),
};
