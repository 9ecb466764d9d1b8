// Values to msgpack bytes and back: the only place that knows the encoding, and the only one that allocates what is
// sent. Messages are plain data: objects, arrays, strings, numbers, booleans, null, undefined, bigint within 64 bits,
// Date and Uint8Array. Anything else (functions, symbols, Map, Set, Error, promises, instances of classes) is refused
// with its path, never turned into something else. What text and numbers cannot say is all that changes: -0 becomes 0, and
// half a surrogate pair becomes U+FFFD. `__proto__` is no key for data.

import { addExtension, Packr, REUSE_BUFFER_MODE } from 'msgpackr/pack';
import { Unpackr } from 'msgpackr/unpack';
import { TransportError, textOfError } from './errors.ts';

/**
 * Small bodies are cut from slabs, since an ArrayBuffer of its own costs more than encoding a small message. Kept
 * small because one waiting body keeps its whole slab alive.
 */
const slabBytes = 16 * 1024;
/** From this size on a body gets a buffer of its own: the copy is then cheaper than the slab it would use up. */
const ownBufferBytesMin = 4 * 1024;

// `msgpackr/pack` and `/unpack` are the builds without the native string extractor: no gain for our sizes, and a native
// addon is a risk in a thread that may be terminated. Records are off because they carry state from message to message.
const packr = new Packr({ useRecords: false, useToJSON: false });
refuseWhatIsNotPlain();
/**
 * Where messages that carry rows are packed. Left to itself the packer grows its slab for each of them, which allocates
 * four times the message each time; this buffer is kept at what it grew to, within reason.
 */
const largeBytesMin = 256 * 1024;
const largeBytesKept = 4 * 1024 * 1024;
let largeBuffer: Uint8Array = Buffer.allocUnsafeSlow(largeBytesMin);
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

/** What `pack` returns in reuse mode: its whole current buffer, with the message between `start` and `end`. */
interface PackedBuffer extends Uint8Array {
  start: number;
  end: number;
}

let strict = false;
/** While this module packs: the hooks below are seen by every packer that shares the library. */
let isPacking = false;

/**
 * In strict mode the whole message is walked before it is packed, which also finds what the packer itself cannot see: an
 * object that inherits from another plain one. Tests switch it on.
 */
export function setStrictEncoding(on: boolean): void {
  strict = on;
}

/** Exact-size bytes that own their buffer: may be transferred to another thread or kept. */
export function encode(value: unknown): Uint8Array {
  if (isLarge(value)) return encodeLarge(value);
  return copyOut(packSmall(value));
}

/**
 * Bytes for an envelope body, several times cheaper than `encode` for small values. They may share a slab with other
 * bodies, so they must never be transferred or posted; a link copies them into its frame. They are never overwritten.
 */
export function encodeBody(value: unknown): Uint8Array {
  if (isLarge(value)) return encodeLarge(value);
  const packed = packSmall(value);
  const length = packed.end - packed.start;
  if (length >= ownBufferBytesMin) return copyOut(packed);
  startSlabWhenGrown(packed);
  return new Uint8Array(packed.buffer, packed.byteOffset + packed.start, length);
}

/** The whole received buffer of the last decode: bodies of one frame share it, and with it one DataView. */
let lastWhole: Uint8Array = new Uint8Array(0);
/** A larger buffer is not kept past its decode. */
const wholeBytesKept = 2 * 1024 * 1024;
const range = { start: 0, end: 0 };

/** The value again. Uint8Array fields are views into `bytes`, not copies: they keep the received frame alive. */
export function decode(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) throw new TransportError('BODY_CORRUPT', 'expected an encoded value, got no bytes');
  const whole = wholeBuffer(bytes);
  range.start = bytes.byteOffset;
  range.end = bytes.byteOffset + bytes.byteLength;
  try {
    return unpackr.unpack(whole, range);
  } catch (error) {
    throw new TransportError('BODY_CORRUPT', 'expected an encoded value, got bytes that do not decode', {
      cause: error,
    });
  }
}

function pack(value: unknown): PackedBuffer {
  isPacking = true;
  try {
    if (strict) refuseWhatChanges(value, '$', []);
    return packr.pack(value, REUSE_BUFFER_MODE) as Uint8Array as PackedBuffer;
  } catch (error) {
    throw asNotSerializable(value, error);
  } finally {
    isPacking = false;
  }
}

/** Where the packer gave up it did not say at what: the walk of the strict mode finds the place. */
function asNotSerializable(value: unknown, reason: unknown): TransportError {
  try {
    if (!strict) refuseWhatChanges(value, '$', []);
  } catch (found) {
    if (found instanceof TransportError) return found;
  }
  if (reason instanceof TransportError) return reason;
  const text = `expected a message of plain data, got: ${textOfError(reason)}`;
  return new TransportError('NOT_SERIALIZABLE', text, { cause: reason });
}

/**
 * The packer writes objects and arrays at once and asks its extensions about everything else: the first of them takes
 * all that is not plain, and refuses it. Plain messages never come to it, so the rule costs them nothing. Maps are asked
 * for a setting instead, which nobody else reads.
 */
function refuseWhatIsNotPlain(): void {
  const refuse = (): never => {
    throw new TransportError('NOT_SERIALIZABLE', 'expected a message of plain data, got something else');
  };
  // An extension is chosen by `instanceof`; there is no class of all that is not plain but this one.
  function NotPlain(): void {}
  Object.defineProperty(NotPlain, Symbol.hasInstance, { value: isNotPlain });
  addExtension({ Class: NotPlain, write: refuse });
  Object.defineProperty(packr, 'mapAsEmptyObject', { get: refuse });
}

const plainPrototypes: ReadonlySet<unknown> = new Set([Object.prototype, Array.prototype, Date.prototype]);

function isNotPlain(value: object): boolean {
  if (!isPacking || value instanceof Uint8Array) return false;
  if (typeof value === 'function') return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype !== null && !plainPrototypes.has(prototype);
}

/** The slab in use: the packer takes a new one by itself when it comes to the end. */
let slab: Uint8Array = Buffer.allocUnsafeSlow(slabBytes);
packr.useBuffer(slab);

function packSmall(value: unknown): PackedBuffer {
  const packed = pack(value);
  slab = packed;
  return packed;
}

/** Packs into the large buffer and goes back to the slab: there is one current buffer for all packers of a thread. */
function encodeLarge(value: unknown): Uint8Array {
  const { position } = packr;
  packr.useBuffer(largeBuffer);
  try {
    const packed = pack(value);
    largeBuffer = packed.byteLength > largeBytesKept ? Buffer.allocUnsafeSlow(largeBytesMin) : packed;
    return new Uint8Array(packed.subarray(packed.start, packed.end));
  } finally {
    packr.useBuffer(slab);
    packr.position = position;
  }
}

/** How deep messages hold their payloads: `{ jobs: [{ rows }] }`. */
const payloadDepthMax = 3;

function isLarge(value: unknown): boolean {
  try {
    return payloadBytes(value, payloadDepthMax) >= ownBufferBytesMin;
  } catch {
    // A getter that throws: the packer comes to it too, and names it.
    return false;
  }
}

/** Bytes of the Uint8Arrays in a message, counted until they are worth a buffer of their own. */
function payloadBytes(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (value instanceof Uint8Array) return value.byteLength;
  if (depth === 0) return 0;
  let bytes = 0;
  if (Array.isArray(value)) {
    // Lists of ids are long and hold none; items of one list are alike.
    if (typeof value[0] !== 'object') return 0;
    for (const item of value) {
      bytes += payloadBytes(item, depth - 1);
      if (bytes >= ownBufferBytesMin) break;
    }
    return bytes;
  }
  for (const key in value) {
    bytes += payloadBytes((value as Record<string, unknown>)[key], depth - 1);
    if (bytes >= ownBufferBytesMin) break;
  }
  return bytes;
}

function wholeBuffer(bytes: Uint8Array): Uint8Array {
  if (bytes.buffer === lastWhole.buffer) return lastWhole;
  const whole = new Uint8Array(bytes.buffer);
  if (whole.byteLength <= wholeBytesKept) lastWhole = whole;
  return whole;
}

/** The message in bytes of its own; its place in the slab is used again. */
function copyOut(packed: PackedBuffer): Uint8Array {
  const bytes = new Uint8Array(packed.end - packed.start);
  bytes.set(packed.subarray(packed.start, packed.end));
  packr.position = packed.start;
  startSlabWhenGrown(packed);
  return bytes;
}

/** The packer grows its buffer to the largest message and stays there; without this, small bodies would pin it. */
function startSlabWhenGrown(packed: PackedBuffer): void {
  if (packed.byteLength === slabBytes) return;
  slab = Buffer.allocUnsafeSlow(slabBytes);
  packr.useBuffer(slab);
}

function refuseWhatChanges(value: unknown, path: string, parents: object[]): void {
  switch (typeof value) {
    case 'function':
    case 'symbol':
      throw notSerializable(path, `a ${typeof value}`);
    case 'object':
      if (value !== null) refuseObjectThatChanges(value, path, parents);
      return;
    default:
  }
}

function refuseObjectThatChanges(value: object, path: string, parents: object[]): void {
  if (parents.includes(value)) throw notSerializable(path, 'a reference to one of its parents');
  const prototype: unknown = Object.getPrototypeOf(value);
  if (value instanceof Uint8Array || prototype === Date.prototype) return;
  parents.push(value);
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) refuseWhatChanges(item, `${path}[${index}]`, parents);
  } else if (prototype === Object.prototype || prototype === null) {
    for (const [key, item] of Object.entries(value)) refuseWhatChanges(item, `${path}.${key}`, parents);
  } else {
    throw notSerializable(path, instanceText(prototype));
  }
  parents.pop();
}

/** Prototypes can be anything too: one without a constructor, or with a name that is no text. */
function instanceText(prototype: unknown): string {
  const maker: unknown = Reflect.get(Object(prototype), 'constructor');
  const name = typeof maker === 'function' && maker !== Object ? maker.name : '';
  return name === '' ? 'an object with a prototype of its own' : `an instance of ${name}`;
}

function notSerializable(path: string, what: string): TransportError {
  return new TransportError('NOT_SERIALIZABLE', `expected plain data at ${path}, got ${what}`, { data: { path } });
}
