// The header of an envelope as bytes: a msgpack array, so that no key names travel, written and read by hand because
// this runs once per message. Layout: [type, toKind, toKey, fromKind, fromKey, askId, deadlineMs, traceparent,
// askChain]; askChain is left out when it is empty, and the last four together when all are, which is the plain tell.

import { TransportError } from './errors.ts';
import type { Envelope } from './link.ts';

const types: readonly Envelope['type'][] = ['message', 'reply', 'failure', 'system'];
const typeCodes: Readonly<Record<Envelope['type'], number>> = { message: 0, reply: 1, failure: 2, system: 3 };

const shortHeader = 0x95; // msgpack fixarray of 5
const longHeader = 0x98; // msgpack fixarray of 8
const chainHeader = 0x99; // msgpack fixarray of 9

/** What an envelope costs besides its body and keys: record lengths, type, kinds, numbers. A round figure. */
const envelopeFixedBytes = 64;

/** What an envelope counts for in windows and bounds. Both ends compute the same number. */
export function envelopeBytes(envelope: Envelope): number {
  return envelopeFixedBytes + envelope.toKey.length + envelope.fromKey.length + envelope.body.byteLength;
}

/** Upper bound of what `writeHeader` writes: a UTF-16 unit takes at most three bytes of UTF-8. */
export function headerBytesMax(envelope: Envelope): number {
  const units =
    envelope.toKind.length +
    envelope.toKey.length +
    envelope.fromKind.length +
    envelope.fromKey.length +
    envelope.traceparent.length +
    envelope.askChain.length;
  return 2 + 6 * 5 + 9 * 2 + units * 3;
}

/** Writes the header at `at`, which must have room for `headerBytesMax`; returns the offset behind it. */
export function writeHeader(target: Buffer, at: number, envelope: Envelope): number {
  const chained = envelope.askChain !== '';
  const long = chained || envelope.askId !== 0 || envelope.deadlineMs !== 0 || envelope.traceparent !== '';
  target[at] = chained ? chainHeader : long ? longHeader : shortHeader;
  target[at + 1] = typeCodes[envelope.type];
  let end = writeText(target, at + 2, envelope.toKind);
  end = writeText(target, end, envelope.toKey);
  end = writeText(target, end, envelope.fromKind);
  end = writeText(target, end, envelope.fromKey);
  if (!long) return end;
  end = writeNumber(target, end, envelope.askId);
  end = writeNumber(target, end, envelope.deadlineMs);
  end = writeText(target, end, envelope.traceparent);
  return chained ? writeText(target, end, envelope.askChain) : end;
}

/** Reads the header in [at, end) of `source`. `body` becomes the envelope's body. */
export function readEnvelope(source: Buffer, at: number, end: number, body: Uint8Array): Envelope {
  const mark = source[at];
  const type = types[source[at + 1] ?? types.length];
  const isKnown = mark === shortHeader || mark === longHeader || mark === chainHeader;
  if (end > source.byteLength || type === undefined || !isKnown) {
    throw corrupt();
  }
  position = at + 2;
  const toKind = readText(source, end);
  const toKey = readText(source, end);
  const fromKind = readText(source, end);
  const fromKey = readText(source, end);
  let askId = 0;
  let deadlineMs = 0;
  let traceparent = '';
  let askChain = '';
  if (mark !== shortHeader) {
    askId = readNumber(source, end);
    deadlineMs = readNumber(source, end);
    traceparent = readText(source, end);
    if (mark === chainHeader) askChain = readText(source, end);
  }
  if (position !== end) throw corrupt();
  return { type, toKind, toKey, fromKind, fromKey, askId, deadlineMs, traceparent, askChain, body };
}

/** Where `readText` and `readNumber` continue. Module state instead of a returned pair: nothing to allocate. */
let position = 0;

function corrupt(): TransportError {
  return new TransportError('FRAME_CORRUPT', 'expected an envelope header, got bytes that are none');
}

/** A msgpack string: the short forms for ASCII, which addresses nearly always are; otherwise str32 of UTF-8. */
function writeText(target: Buffer, at: number, text: string): number {
  const length = text.length;
  if (length < 256) {
    let end = at;
    if (length < 32) {
      target[end++] = 0xa0 | length;
    } else {
      target[end++] = 0xd9;
      target[end++] = length;
    }
    let index = 0;
    while (index < length) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) break;
      target[end++] = unit;
      index += 1;
    }
    if (index === length) return end;
  }
  const bytes = target.write(text, at + 5, 'utf8');
  target[at] = 0xdb;
  target.writeUInt32BE(bytes, at + 1);
  return at + 5 + bytes;
}

function readText(source: Buffer, end: number): string {
  const mark = source[position] ?? 0;
  let start: number;
  let length: number;
  if ((mark & 0xe0) === 0xa0) {
    start = position + 1;
    length = mark & 0x1f;
  } else if (mark === 0xd9) {
    start = position + 2;
    length = source[position + 1] ?? 0;
  } else if (mark === 0xdb && position + 5 <= end) {
    start = position + 5;
    length = source.readUInt32BE(position + 1);
  } else {
    throw corrupt();
  }
  position = start + length;
  if (position > end) throw corrupt();
  if (length === 0) return '';
  return length <= internedBytesMax ? internText(source, start, length) : source.toString('utf8', start, position);
}

/** A msgpack number: uint32 where it fits, otherwise float64 (epoch milliseconds are exact in it). */
function writeNumber(target: Buffer, at: number, value: number): number {
  if (value >= 0 && value < 128 && Number.isInteger(value)) {
    target[at] = value;
    return at + 1;
  }
  if (value >>> 0 === value) {
    target[at] = 0xce;
    return target.writeUInt32BE(value, at + 1);
  }
  target[at] = 0xcb;
  return target.writeDoubleBE(value, at + 1);
}

function readNumber(source: Buffer, end: number): number {
  const mark = source[position] ?? 0xff;
  const start = position + 1;
  if (mark < 128) {
    position = start;
    return mark;
  }
  if (mark === 0xce && start + 4 <= end) {
    position = start + 4;
    return source.readUInt32BE(start);
  }
  if (mark === 0xcb && start + 8 <= end) {
    position = start + 8;
    return source.readDoubleBE(start);
  }
  throw corrupt();
}

// Kinds and keys repeat from message to message. A direct-mapped table of the strings seen last turns bytes into a
// string without allocating one, and gives Maps a string whose hash is known already.
const internedBytesMax = 48;
const internSlots = 4096;
const interned: string[] = new Array<string>(internSlots).fill('');

function internText(source: Buffer, start: number, length: number): string {
  let hash = length;
  let ascii = 0;
  for (let index = start; index < start + length; index += 1) {
    const byte = source[index] ?? 0;
    ascii |= byte;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  if (ascii > 0x7f) return source.toString('utf8', start, start + length);
  const slot = (hash ^ (hash >>> 15)) & (internSlots - 1);
  const known = interned[slot] ?? '';
  if (known.length === length && sameText(known, source, start)) return known;
  const text = source.toString('latin1', start, start + length);
  interned[slot] = text;
  return text;
}

function sameText(text: string, source: Buffer, start: number): boolean {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) !== source[start + index]) return false;
  }
  return true;
}
