// The storage thread of the raw limit: one connection, one COPY per group, where a group is everything that arrived
// while the last one was committing. Nothing else.

import { parentPort, workerData } from 'node:worker_threads';
import { jobColumns, patchJobId, rowOffsets } from '../actors/storage/job-row.ts';
import { openPostgres, type PostgresAddress } from '../transport/index.ts';

export interface RawFrame {
  frame: number;
  rows: Uint8Array;
  count: number;
}

export interface RawReply {
  frame: number;
}

const table = `
  CREATE TABLE IF NOT EXISTS raw_jobs (
    job_id bigint PRIMARY KEY, parent_id bigint NOT NULL, partition text NOT NULL, user_id text NOT NULL,
    message_id text NOT NULL, received_at timestamptz NOT NULL, parameters text NOT NULL, payload bytea NOT NULL);
  ALTER TABLE raw_jobs ALTER COLUMN payload SET STORAGE EXTERNAL`;

const session = await openPostgres({
  address: workerData as PostgresAddress,
  applicationName: 'raw limit',
}).session();
await session.query(table);

let nextJobId = 1;
let waiting: RawFrame[] = [];
let isWriting = false;

async function writeGroups(): Promise<void> {
  isWriting = true;
  while (waiting.length > 0) {
    const group = waiting;
    waiting = [];
    for (const { rows } of group) nextJobId = assignIds(rows, nextJobId);
    const tuples = group.map(({ rows }) => rows);
    await session.copyIn(`COPY raw_jobs (${jobColumns}) FROM STDIN (FORMAT binary)`, tuples);
    for (const { frame } of group) parentPort?.postMessage({ frame } satisfies RawReply);
  }
  isWriting = false;
}

function assignIds(rows: Uint8Array, from: number): number {
  const buffer = Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength);
  const offsets = rowOffsets(rows);
  for (let index = 0; index < offsets.length - 1; index += 1) patchJobId(buffer, offsets[index] ?? 0, from + index);
  return from + offsets.length - 1;
}

parentPort?.on('message', (frame: RawFrame) => {
  waiting.push(frame);
  // A failure is unhandled on purpose: it ends this thread, and with it the measurement.
  if (!isWriting) void writeGroups();
});
