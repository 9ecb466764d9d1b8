// Finds the events of a request body and the few top-level fields the gateway cares about, without decoding anything.
// It accepts exactly what JSON.parse accepts (down to `nestingMax` containers): what is acknowledged must be parseable
// by every later stage. As there, of members with the same name the last one counts.

import { isUtf8 } from 'node:buffer';
import {
  backslash,
  byteAt,
  closeBrace,
  closeBracket,
  colon,
  comma,
  finish,
  nestingMax,
  openBrace,
  openBracket,
  prepare,
  quote,
  skipSpace,
  skipString,
  skipValue,
} from './json-grammar.ts';

/** Events one request may carry unless the settings say less; each costs a row, so bytes alone do not bound the work. */
export const eventsMax = 20_000;

export interface ScanLimits {
  eventsMax: number;
  /** Containers inside each other, at most `nestingMax`. */
  depthMax: number;
}

/** Fields by number, in the order of `fieldNames`. */
export const field = Object.freeze({
  type: 0,
  messageId: 1,
  userId: 2,
  anonymousId: 3,
  rudderId: 4,
  receivedAt: 5,
  requestIp: 6,
  context: 7,
});
export type Field = (typeof field)[keyof typeof field];
export const fieldNames = [
  'type',
  'messageId',
  'userId',
  'anonymousId',
  'rudderId',
  'receivedAt',
  'request_ip',
  'context',
];

/** `events`: `count` of them were found, of which any may be something else than an object. */
export type ScanVerdict = 'events' | 'invalidJson' | 'notAnEvent' | 'emptyBatch' | 'tooManyEvents';

/** Per event: where it starts and ends, then where each field's value starts and ends; 0, 0 = absent. */
const recordInts = 2 + 2 * fieldNames.length;

/** One per thread: a scan overwrites the findings of the one before. */
export class EventScanner {
  #table = new Int32Array(64 * recordInts);
  #count = 0;
  readonly #limits: ScanLimits;

  constructor(limits: ScanLimits = { eventsMax, depthMax: nestingMax }) {
    this.#limits = limits;
  }

  /** Events found by the last scan. */
  get count(): number {
    return this.#count;
  }

  scan(bytes: Uint8Array, shape: 'single' | 'batch'): ScanVerdict {
    this.#clear();
    if (!isUtf8(bytes)) return 'invalidJson';
    prepare(bytes, this.#limits.depthMax);
    const verdict = this.#scanBody(bytes, shape);
    finish();
    return verdict;
  }

  /** Offset of the event's first byte; a `{` unless it is not an object. */
  start(event: number): number {
    return this.#table[event * recordInts] ?? 0;
  }

  end(event: number): number {
    return this.#table[event * recordInts + 1] ?? 0;
  }

  /** Offset of the value, or 0 when the event has no such field. */
  valueStart(event: number, wanted: Field): number {
    return this.#table[event * recordInts + 2 + 2 * wanted] ?? 0;
  }

  valueEnd(event: number, wanted: Field): number {
    return this.#table[event * recordInts + 3 + 2 * wanted] ?? 0;
  }

  #scanBody(bytes: Uint8Array, shape: 'single' | 'batch'): ScanVerdict {
    const start = skipSpace(bytes, 0);
    let verdict: ScanVerdict = 'events';
    let at: number;
    if (byteAt(bytes, start) !== openBrace) {
      verdict = shape === 'single' ? 'notAnEvent' : 'emptyBatch';
      at = skipValue(bytes, start, 0);
    } else if (shape === 'single') {
      at = this.#scanEvent(bytes, start, 0);
    } else {
      const batch = { verdict: 'emptyBatch' as ScanVerdict };
      at = this.#scanWrapper(bytes, start, batch);
      verdict = batch.verdict;
    }
    if (at < 0 || skipSpace(bytes, at) !== bytes.byteLength) return 'invalidJson';
    return verdict;
  }

  /** `{"batch":[…]}` */
  #scanWrapper(bytes: Uint8Array, start: number, batch: { verdict: ScanVerdict }): number {
    let at = skipSpace(bytes, start + 1);
    if (byteAt(bytes, at) === closeBrace) return at + 1;
    for (;;) {
      const keyStart = at;
      at = skipKey(bytes, at);
      if (at < 0) return -1;
      const valueStart = at;
      if (keyIsBatch(bytes, keyStart)) {
        this.#clear();
        at = byteAt(bytes, at) === openBracket ? this.#scanElements(bytes, at) : skipValue(bytes, at, 1);
        batch.verdict = this.#batchVerdict(byteAt(bytes, valueStart));
      } else {
        at = skipValue(bytes, at, 1);
      }
      if (at < 0) return -1;
      at = skipSpace(bytes, at);
      const byte = byteAt(bytes, at);
      if (byte === closeBrace) return at + 1;
      if (byte !== comma) return -1;
      at = skipSpace(bytes, at + 1);
    }
  }

  #batchVerdict(firstByte: number): ScanVerdict {
    const null0 = 0x6e;
    if (firstByte !== openBracket) return firstByte === null0 ? 'emptyBatch' : 'notAnEvent';
    if (this.#count > this.#limits.eventsMax) return 'tooManyEvents';
    return this.#count === 0 ? 'emptyBatch' : 'events';
  }

  #scanElements(bytes: Uint8Array, start: number): number {
    let at = skipSpace(bytes, start + 1);
    if (byteAt(bytes, at) === closeBracket) return at + 1;
    for (;;) {
      at = byteAt(bytes, at) === openBrace ? this.#scanEvent(bytes, at, 2) : this.#scanStranger(bytes, at);
      if (at < 0) return -1;
      at = skipSpace(bytes, at);
      const byte = byteAt(bytes, at);
      if (byte === closeBracket) return at + 1;
      if (byte !== comma) return -1;
      at = skipSpace(bytes, at + 1);
    }
  }

  /** An element that is no object: it has a record, so that its neighbours keep their places. */
  #scanStranger(bytes: Uint8Array, start: number): number {
    const at = skipValue(bytes, start, 2);
    const record = this.#addRecord(start);
    this.#table[record + 1] = at;
    return at;
  }

  #scanEvent(bytes: Uint8Array, start: number, depth: number): number {
    const record = this.#addRecord(start);
    const table = this.#table;
    let at = skipSpace(bytes, start + 1);
    if (byteAt(bytes, at) !== closeBrace) {
      for (;;) {
        const keyStart = at;
        at = skipKey(bytes, at);
        if (at < 0) return -1;
        const valueStart = at;
        at = skipValue(bytes, at, depth + 1);
        if (at < 0) return -1;
        const found = fieldOfKey(bytes, keyStart);
        if (found >= 0) {
          table[record + 2 + 2 * found] = valueStart;
          table[record + 3 + 2 * found] = at;
        }
        at = skipSpace(bytes, at);
        const byte = byteAt(bytes, at);
        if (byte === closeBrace) break;
        if (byte !== comma) return -1;
        at = skipSpace(bytes, at + 1);
      }
    }
    table[record + 1] = at + 1;
    return at + 1;
  }

  /** Offset of a zeroed record; once full, of a spare one that nobody reads. */
  #addRecord(start: number): number {
    const record = this.#count * recordInts;
    if (record + 2 * recordInts > this.#table.length) this.#grow();
    this.#table.fill(0, record, record + recordInts);
    this.#table[record] = start;
    if (this.#count <= this.#limits.eventsMax) this.#count += 1;
    return record;
  }

  #grow(): void {
    const grown = new Int32Array(this.#table.length * 2);
    grown.set(this.#table);
    this.#table = grown;
  }

  #clear(): void {
    this.#count = 0;
  }
}

/** A key and its colon; returns where the value starts. */
function skipKey(bytes: Uint8Array, start: number): number {
  if (byteAt(bytes, start) !== quote) return -1;
  const at = skipString(bytes, start);
  if (at < 0) return -1;
  const colonAt = skipSpace(bytes, at);
  return byteAt(bytes, colonAt) === colon ? skipSpace(bytes, colonAt + 1) : -1;
}

const batchKey = keyBytes('batch');
const fieldKeys = fieldNames.map(keyBytes);
/** Fields whose key, with its quotes, starts with this letter; one look at it settles nearly every foreign key. */
const fieldsByLetter: (Field[] | undefined)[] = new Array(256);
for (const number of Object.values(field)) {
  const letter = fieldKeys[number]?.[1] ?? 0;
  fieldsByLetter[letter] = [...(fieldsByLetter[letter] ?? []), number];
}

function keyBytes(name: string): Uint8Array {
  return Buffer.from(`"${name}"`);
}

function keyIsBatch(bytes: Uint8Array, start: number): boolean {
  return startsWith(bytes, start, batchKey) || (hasEscape(bytes, start) && decodeKey(bytes, start) === 'batch');
}

/** The field a key names, or -1. */
function fieldOfKey(bytes: Uint8Array, start: number): Field | -1 {
  const candidates = fieldsByLetter[byteAt(bytes, start + 1)];
  if (candidates !== undefined) {
    for (const candidate of candidates) {
      const key = fieldKeys[candidate];
      if (key !== undefined && startsWith(bytes, start, key)) return candidate;
    }
  }
  if (!hasEscape(bytes, start)) return -1;
  const name = decodeKey(bytes, start);
  return Object.values(field).find((number) => fieldNames[number] === name) ?? -1;
}

function startsWith(bytes: Uint8Array, start: number, key: Uint8Array): boolean {
  for (let offset = key.byteLength - 1; offset > 0; offset -= 1) {
    if (bytes[start + offset] !== key[offset]) return false;
  }
  return true;
}

/** Of a string known to be valid, which starts at its opening quote. */
function hasEscape(bytes: Uint8Array, start: number): boolean {
  for (let at = start + 1; ; at += 1) {
    const byte = byteAt(bytes, at);
    if (byte === quote) return false;
    if (byte === backslash) return true;
  }
}

function decodeKey(bytes: Uint8Array, start: number): unknown {
  const end = skipString(bytes, start);
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString());
}
