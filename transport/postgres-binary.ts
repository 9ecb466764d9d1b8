// PostgreSQL's binary formats, as far as we write and strip them ourselves: the frame around COPY tuples, and arrays.
// Tuples and array elements share one field form ([int32 length][bytes], PostgreSQL manual "COPY", binary format),
// so rows that were encoded for COPY become array parameters of one prepared INSERT by copying slices, never by
// decoding: that is how a group too small for COPY is stored.

import { strict as assert } from 'node:assert';

/** Signature, flags (none), length of the header extension (none). */
const copyHeader: Buffer = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
/** A field count of -1 ends the data. */
const copyTrailer: Buffer = Buffer.from([0xff, 0xff]);

/** Element types an array parameter can be made of, with their OIDs. */
export const arrayElementOids = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  timestamptz: 1184,
} as const;

/** Small pieces are joined up to this size, so that a group of many small pieces is not as many system calls. */
const copyBlockBytes = 64 * 1024;

export type ArrayElementType = keyof typeof arrayElementOids;

/** Dimensions, has-null flag, element OID, size of the dimension, its lower bound: five int32. */
const arrayHeaderBytes = 20;

/** One array parameter from `count` fields, given as pieces that hold whole fields in COPY field form, in order. */
export function encodeBinaryArray(type: ArrayElementType, pieces: readonly Uint8Array[], count: number): Buffer {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.byteLength;
  const array = allocateArray(type, bytes, count);
  let at = arrayHeaderBytes;
  for (const piece of pieces) {
    array.set(piece, at);
    at += piece.byteLength;
  }
  return array;
}

/**
 * Turns COPY tuples into one array parameter per column: `types` names the columns' element types in tuple order.
 * Every piece holds whole tuples. The arrays serve `INSERT … SELECT * FROM unnest($1::int8[], $2::text[], …)`.
 */
export function encodeColumns(tuples: readonly Uint8Array[], types: readonly ArrayElementType[]): Buffer[] {
  const views = tuples.map((piece) => Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
  const columnBytes = new Array<number>(types.length).fill(0);
  let count = 0;
  for (const view of views) count += measureColumns(view, columnBytes);
  const arrays = types.map((type, column) => allocateArray(type, columnBytes[column] ?? 0, count));
  const ends = new Array<number>(types.length).fill(arrayHeaderBytes);
  for (const view of views) scatterFields(view, arrays, ends);
  return arrays;
}

/** What goes to the server for these tuples: header, tuples and trailer, with small pieces joined. */
export function copyBlocks(chunks: readonly Uint8Array[]): Buffer[] {
  const blocks: Buffer[] = [];
  let small: Uint8Array[] = [];
  let smallBytes = 0;
  const add = (piece: Uint8Array): void => {
    small.push(piece);
    smallBytes += piece.byteLength;
    if (smallBytes < copyBlockBytes) return;
    blocks.push(joined(small, smallBytes));
    small = [];
    smallBytes = 0;
  };
  add(copyHeader);
  for (const chunk of chunks) add(chunk);
  small.push(copyTrailer);
  blocks.push(joined(small, smallBytes + copyTrailer.byteLength));
  return blocks;
}

/** Removes header and trailer of a binary COPY … TO. */
export function stripCopyFrame(bytes: Buffer): Buffer {
  const fixed = copyHeader.byteLength;
  assert.ok(bytes.byteLength >= fixed + copyTrailer.byteLength, 'expected a whole binary COPY, got a part of one');
  const start = fixed + bytes.readInt32BE(fixed - 4);
  return bytes.subarray(start, bytes.byteLength - copyTrailer.byteLength);
}

function allocateArray(type: ArrayElementType, bytes: number, count: number): Buffer {
  const array = Buffer.allocUnsafe(arrayHeaderBytes + bytes);
  array.writeInt32BE(count === 0 ? 0 : 1, 0);
  array.writeInt32BE(0, 4);
  array.writeInt32BE(arrayElementOids[type], 8);
  array.writeInt32BE(count, 12);
  array.writeInt32BE(1, 16);
  // An empty array has no dimensions, so it ends before their sizes.
  return count === 0 ? array.subarray(0, 12) : array;
}

/** Adds each column's bytes to `columnBytes`; returns the number of tuples. */
function measureColumns(view: Buffer, columnBytes: number[]): number {
  let count = 0;
  let at = 0;
  while (at < view.byteLength) {
    assert.equal(view.readInt16BE(at), columnBytes.length, 'expected a tuple with one field per column');
    at += 2;
    for (let column = 0; column < columnBytes.length; column += 1) {
      const bytes = fieldBytes(view, at);
      columnBytes[column] = (columnBytes[column] ?? 0) + bytes;
      at += bytes;
    }
    count += 1;
  }
  assert.equal(at, view.byteLength, 'expected tuples to end where the piece ends');
  return count;
}

function scatterFields(view: Buffer, arrays: readonly Buffer[], ends: number[]): void {
  let at = 0;
  while (at < view.byteLength) {
    at += 2;
    for (const [column, array] of arrays.entries()) {
      const bytes = fieldBytes(view, at);
      const end = ends[column] ?? 0;
      view.copy(array, end, at, at + bytes);
      ends[column] = end + bytes;
      at += bytes;
    }
  }
}

/** Bytes of the field at `at` with its length; a NULL has length -1 and no bytes. */
function fieldBytes(view: Buffer, at: number): number {
  return 4 + Math.max(0, view.readInt32BE(at));
}

function joined(pieces: readonly Uint8Array[], bytes: number): Buffer {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  return Buffer.concat(pieces, bytes);
}
