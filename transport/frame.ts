// Many envelopes in one post: a post costs several microseconds whatever it carries. A frame is one exact-size
// ArrayBuffer, so that it can be transferred, and carries the credits the receiver gives back the other way.
//
// Layout, little-endian: magic u16, version u8, zero u8, count u32, credit envelopes u32, credit bytes u32, then per
// envelope: header length u32, body length u32, header, body.

import { headerBytesMax, readEnvelope, writeHeader } from './envelope.ts';
import { TransportError } from './errors.ts';
import type { Envelope } from './link.ts';

const magic = 0x5c1f;
const version = 1;
const frameHeaderBytes = 16;
const recordHeaderBytes = 8;

/** What one frame says: credits given back, and envelopes in the order they were sent. */
export interface Frame {
  creditEnvelopes: number;
  creditBytes: number;
  envelopes: Envelope[];
}

/** A body of this size is copied once, straight into a frame of its own; smaller ones by way of the scratch buffer. */
const directBodyBytesMin = 64 * 1024;
/** A scratch buffer larger than this is given back after use. */
const scratchBytesKept = 2 * 1024 * 1024;

/** Shared by all writers of a thread: a frame is begun and finished without anything running in between. */
let scratch = Buffer.allocUnsafeSlow(64 * 1024);

/** Builds one frame: `begin`, `append` while it has room, `finish`. */
export class FrameWriter {
  #length = frameHeaderBytes;
  #count = 0;

  get byteLength(): number {
    return this.#length;
  }

  get count(): number {
    return this.#count;
  }

  append(envelope: Envelope): void {
    const body = envelope.body;
    reserve(this.#length + recordHeaderBytes + headerBytesMax(envelope) + body.byteLength, this.#length);
    const headerStart = this.#length + recordHeaderBytes;
    const headerEnd = writeHeader(scratch, headerStart, envelope);
    scratch.writeUInt32LE(headerEnd - headerStart, this.#length);
    scratch.writeUInt32LE(body.byteLength, this.#length + 4);
    scratch.set(body, headerEnd);
    this.#length = headerEnd + body.byteLength;
    this.#count += 1;
  }

  /** The frame, in a buffer of exactly its size. The writer is empty again. */
  finish(creditEnvelopes: number, creditBytes: number): ArrayBuffer {
    writeFrameHeader(scratch, this.#count, creditEnvelopes, creditBytes);
    const frame = frameOf(this.#length);
    frame.set(scratch.subarray(0, this.#length));
    this.#length = frameHeaderBytes;
    this.#count = 0;
    if (scratch.byteLength > scratchBytesKept) scratch = Buffer.allocUnsafeSlow(64 * 1024);
    return frame.buffer;
  }
}

/** True when the envelope should travel alone by `writeSingleFrame`. */
export function travelsAlone(envelope: Envelope): boolean {
  return envelope.body.byteLength >= directBodyBytesMin;
}

/** A frame of one envelope with its body copied once. */
export function writeSingleFrame(envelope: Envelope, creditEnvelopes: number, creditBytes: number): ArrayBuffer {
  reserve(frameHeaderBytes + recordHeaderBytes + headerBytesMax(envelope), 0);
  const headerStart = frameHeaderBytes + recordHeaderBytes;
  const headerEnd = writeHeader(scratch, headerStart, envelope);
  writeFrameHeader(scratch, 1, creditEnvelopes, creditBytes);
  scratch.writeUInt32LE(headerEnd - headerStart, frameHeaderBytes);
  scratch.writeUInt32LE(envelope.body.byteLength, frameHeaderBytes + 4);
  const frame = frameOf(headerEnd + envelope.body.byteLength);
  frame.set(scratch.subarray(0, headerEnd));
  frame.set(envelope.body, headerEnd);
  return frame.buffer;
}

/** A buffer of exactly this size, not zeroed first: every byte of it is written. */
function frameOf(bytes: number): Buffer<ArrayBuffer> {
  return Buffer.allocUnsafeSlow(bytes);
}

/** Reads a frame. Bodies are views into it. Throws TransportError FRAME_CORRUPT. */
export function readFrame(frame: ArrayBuffer): Frame {
  const source = Buffer.from(frame);
  if (source.byteLength < frameHeaderBytes) throw corrupt(`${source.byteLength} bytes`);
  if (source.readUInt16LE(0) !== magic || source[2] !== version || source[3] !== 0) throw corrupt('another magic');
  const count = source.readUInt32LE(4);
  if (count > (source.byteLength - frameHeaderBytes) / recordHeaderBytes) throw corrupt(`a count of ${count}`);
  const envelopes: Envelope[] = [];
  let at = frameHeaderBytes;
  for (let index = 0; index < count; index += 1) {
    if (at + recordHeaderBytes > source.byteLength) throw corrupt('a frame that ends early');
    const headerEnd = at + recordHeaderBytes + source.readUInt32LE(at);
    const bodyBytes = source.readUInt32LE(at + 4);
    if (headerEnd + bodyBytes > source.byteLength) throw corrupt('a record longer than the frame');
    const body = new Uint8Array(frame, headerEnd, bodyBytes);
    envelopes.push(readEnvelope(source, at + recordHeaderBytes, headerEnd, body));
    at = headerEnd + bodyBytes;
  }
  if (at !== source.byteLength) throw corrupt('bytes behind the last record');
  return { creditEnvelopes: source.readUInt32LE(8), creditBytes: source.readUInt32LE(12), envelopes };
}

function writeFrameHeader(target: Buffer, count: number, creditEnvelopes: number, creditBytes: number): void {
  target.writeUInt16LE(magic, 0);
  target[2] = version;
  target[3] = 0;
  target.writeUInt32LE(count, 4);
  target.writeUInt32LE(creditEnvelopes, 8);
  target.writeUInt32LE(creditBytes, 12);
}

/** Makes room for `bytes` in the scratch buffer, keeping the first `used`. */
function reserve(bytes: number, used: number): void {
  if (bytes <= scratch.byteLength) return;
  const grown = Buffer.allocUnsafeSlow(Math.max(bytes, scratch.byteLength * 2));
  scratch.copy(grown, 0, 0, used);
  scratch = grown;
}

function corrupt(got: string): TransportError {
  return new TransportError('FRAME_CORRUPT', `expected a frame, got ${got}`);
}
