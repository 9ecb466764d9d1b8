// One layout for a job everywhere it travels: the binary COPY tuple of a `<queue>_jobs_N` table. The gateway and the
// processor write it, the storage actor patches the job id and concatenates, Postgres reads it (COPY … FROM), the
// hand-off passes it on, a backlog read returns it (COPY … TO). Nobody in between encodes or decodes anything.
//
// Tuple (PostgreSQL manual, "COPY", binary format): int16 field count, then per field int32 length and the bytes,
// big-endian. Fields in the order of `jobColumns`, which every COPY names: job_id int8, parent_id int8, partition text, user_id text,
// message_id text, received_at timestamptz, parameters text, payload bytea. No field is ever NULL.

import { strict as assert } from 'node:assert';
import type { Job } from '../job.ts';

export const jobColumns = 'job_id, parent_id, partition, user_id, message_id, received_at, parameters, payload';
export const jobFieldCount = 8;

/** Where the job id's 8 bytes start inside a tuple: after the field count and the field's length. */
const jobIdOffset = 6;
/** Where the partition's length starts: after job_id and parent_id. */
const partitionOffset = jobIdOffset + 8 + 4 + 8;
const fixedBytes = 2 + 12 + 12 + 4 + 4 + 4 + 12 + 4 + 4;

/** 2000-01-01T00:00:00Z in epoch milliseconds: PostgreSQL's timestamp zero. */
const postgresEpochMs = 946_684_800_000;
const twoTo32 = 4_294_967_296;

/** Text is written as UTF-8. */
export type PayloadPiece = Uint8Array | string;

/** Appends job rows to one growing buffer; `take` hands the bytes over and starts anew. */
export class JobRowWriter {
  #buffer: Buffer;
  #length = 0;
  #count = 0;

  constructor(initialBytes = 64 * 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  get count(): number {
    return this.#count;
  }

  get byteLength(): number {
    return this.#length;
  }

  /** Forgets the rows after the first `count`, which end at `byteLength`: they could not all be written. */
  cutBack({ count, byteLength }: { count: number; byteLength: number }): void {
    this.#count = count;
    this.#length = byteLength;
  }

  /** `payload` may come in pieces, so that a caller who splices needs no copy of its own. */
  append(job: Omit<Job, 'payload'>, payload: readonly PayloadPiece[]): void {
    // UTF-8 needs at most three bytes per UTF-16 unit: reserve the worst case, then use what was written.
    let textUnits = job.partition.length + job.userId.length + job.messageId.length + job.parameters.length;
    let payloadBytes = 0;
    for (const piece of payload) {
      if (typeof piece === 'string') textUnits += piece.length;
      else payloadBytes += piece.byteLength;
    }
    this.#reserve(fixedBytes + textUnits * 3 + payloadBytes);
    const buffer = this.#buffer;
    let at = buffer.writeInt16BE(jobFieldCount, this.#length);
    at = writeInt64Field(buffer, at, job.jobId);
    at = writeInt64Field(buffer, at, job.parentId);
    at = writeTextField(buffer, at, job.partition);
    at = writeTextField(buffer, at, job.userId);
    at = writeTextField(buffer, at, job.messageId);
    at = writeInt64Field(buffer, at, (job.receivedAtMs - postgresEpochMs) * 1000);
    at = writeTextField(buffer, at, job.parameters);
    const payloadStart = at + 4;
    at = payloadStart;
    for (const piece of payload) at = writePiece(buffer, at, piece);
    buffer.writeInt32BE(at - payloadStart, payloadStart - 4);
    this.#length = at;
    this.#count += 1;
  }

  /** The rows written so far, in bytes that own their buffer. */
  take(): { rows: Uint8Array; count: number } {
    const rows = Buffer.allocUnsafeSlow(this.#length);
    this.#buffer.copy(rows, 0, 0, this.#length);
    const count = this.#count;
    this.#length = 0;
    this.#count = 0;
    return { rows, count };
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.byteLength) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.byteLength * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

function writeInt64Field(buffer: Buffer, at: number, value: number): number {
  let offset = buffer.writeInt32BE(8, at);
  offset = buffer.writeInt32BE(Math.floor(value / twoTo32), offset);
  return buffer.writeUInt32BE(value >>> 0, offset);
}

function writeTextField(buffer: Buffer, at: number, text: string): number {
  const bytes = buffer.write(text, at + 4, 'utf8');
  buffer.writeInt32BE(bytes, at);
  return at + 4 + bytes;
}

function writePiece(buffer: Buffer, at: number, piece: PayloadPiece): number {
  if (typeof piece === 'string') return at + buffer.write(piece, at, 'utf8');
  buffer.set(piece, at);
  return at + piece.byteLength;
}

/** Start offsets of the tuples in `rows`, plus the end: `count + 1` numbers. Throws when the bytes are not job rows. */
export function rowOffsets(rows: Uint8Array): number[] {
  const view = bufferOver(rows);
  const offsets = [0];
  let at = 0;
  while (at < view.byteLength) {
    assert.equal(view.readInt16BE(at), jobFieldCount, 'expected a job row with 8 fields');
    at += 2;
    for (let field = 0; field < jobFieldCount; field += 1) at += 4 + view.readInt32BE(at);
    offsets.push(at);
  }
  assert.equal(at, view.byteLength, 'expected job rows to end where the buffer ends');
  return offsets;
}

/** Overwrites the job id of the tuple that starts at `at`. */
export function patchJobId(rows: Buffer, at: number, jobId: number): void {
  rows.writeInt32BE(Math.floor(jobId / twoTo32), at + jobIdOffset);
  rows.writeUInt32BE(jobId >>> 0, at + jobIdOffset + 4);
}

export function readJobId(rows: Buffer, at: number): number {
  return readInt64(rows, at + jobIdOffset);
}

export function readPartition(rows: Buffer, at: number): string {
  const length = rows.readInt32BE(at + partitionOffset);
  const start = at + partitionOffset + 4;
  return rows.toString('utf8', start, start + length);
}

/** True when the rows at `one` and `other` are of the same partition. */
export function isSamePartition(rows: Buffer, one: number, other: number): boolean {
  const [first, second] = [one + partitionOffset, other + partitionOffset];
  const end = first + 4 + rows.readInt32BE(first);
  return rows.compare(rows, second, second + end - first, first, end) === 0;
}

/** Epoch milliseconds at which the event of the row at `at` was received. */
export function readReceivedAt(rows: Buffer, at: number): number {
  let offset = at + partitionOffset;
  for (let text = 0; text < 3; text += 1) offset += 4 + rows.readInt32BE(offset);
  return readInt64(rows, offset + 4) / 1000 + postgresEpochMs;
}

/** Decodes every row. `payload` is a view into `rows`, not a copy. */
export function readJobs(rows: Uint8Array): Job[] {
  const view = bufferOver(rows);
  const jobs: Job[] = [];
  let at = 0;
  while (at < view.byteLength) {
    const jobId = readInt64(view, at + jobIdOffset);
    const parentId = readInt64(view, at + jobIdOffset + 12);
    at += partitionOffset;
    const fields: string[] = [];
    for (let field = 0; field < 3; field += 1) {
      const end = at + 4 + view.readInt32BE(at);
      fields.push(view.toString('utf8', at + 4, end));
      at = end;
    }
    const receivedAtMs = readInt64(view, at + 4) / 1000 + postgresEpochMs;
    at += 12;
    const parametersEnd = at + 4 + view.readInt32BE(at);
    const parameters = view.toString('utf8', at + 4, parametersEnd);
    at = parametersEnd;
    const payloadEnd = at + 4 + view.readInt32BE(at);
    const payload = view.subarray(at + 4, payloadEnd);
    at = payloadEnd;
    const [partition = '', userId = '', messageId = ''] = fields;
    jobs.push({ jobId, parentId, partition, userId, messageId, receivedAtMs, parameters, payload });
  }
  return jobs;
}

/** A Buffer over the same memory: Uint8Arrays that crossed a thread have lost their prototype. */
export function bufferOver(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readInt64(view: Buffer, at: number): number {
  return view.readInt32BE(at) * twoTo32 + view.readUInt32BE(at + 4);
}
