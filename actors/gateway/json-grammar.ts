// The grammar of JSON (RFC 8259) over bytes, for the event scanner: each function takes the offset where a token
// starts and returns the offset after it, or -1 when the bytes are not JSON. UTF-8 is checked before, natively.
// Out-of-range reads give -1, which no token accepts, so nothing here needs to know where the bytes end.

/** Containers inside each other. JSON.stringify in later stages recurses, and would overflow its stack much deeper. */
export const nestingMax = 512;

export const quote = 0x22;
export const comma = 0x2c;
export const colon = 0x3a;
export const openBracket = 0x5b;
export const backslash = 0x5c;
export const closeBracket = 0x5d;
export const openBrace = 0x7b;
export const closeBrace = 0x7d;

const space = 0x20;
const plus = 0x2b;
const minus = 0x2d;
const dot = 0x2e;
const digit0 = 0x30;
const digit9 = 0x39;

/** 1 for bytes that simply continue a string: no control character, quote or backslash. */
const continuesString = new Uint8Array(256).fill(1, space);
continuesString[quote] = 0;
continuesString[backslash] = 0;

/** 1 for what may follow a backslash, apart from u. */
const simpleEscape = new Uint8Array(256);
for (const letter of '"\\/bfnrt') simpleEscape[letter.charCodeAt(0)] = 1;

export function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? -1;
}

export function skipSpace(bytes: Uint8Array, start: number): number {
  let at = start;
  let byte = byteAt(bytes, at);
  while (byte <= space && (byte === space || byte === 0x0a || byte === 0x0d || byte === 0x09)) {
    at += 1;
    byte = byteAt(bytes, at);
  }
  return at;
}

/** Any value. `depth` counts the containers around it. */
export function skipValue(bytes: Uint8Array, at: number, depth: number): number {
  switch (byteAt(bytes, at)) {
    case quote:
      return skipString(bytes, at);
    case openBrace:
      return depth >= depthLimit ? -1 : skipObject(bytes, at, depth + 1);
    case openBracket:
      return depth >= depthLimit ? -1 : skipArray(bytes, at, depth + 1);
    case 0x74:
      return skipLiteral(bytes, at, literalTrue);
    case 0x66:
      return skipLiteral(bytes, at, literalFalse);
    case 0x6e:
      return skipLiteral(bytes, at, literalNull);
    default:
      return skipNumber(bytes, at);
  }
}

/**
 * What is known about the bytes being scanned, so that strings can be skipped by a native search for their end:
 * there is no control character anywhere, and no backslash in [clearFrom, clearTo).
 */
let calm: Uint8Array | undefined;
/** Containers inside each other that are taken for JSON now. */
let depthLimit = nestingMax;
let clearFrom = 0;
let clearTo = 0;

/** To be called before a body is scanned; what follows works without it, but byte by byte. */
export function prepare(bytes: Uint8Array, depthMax = nestingMax): void {
  depthLimit = depthMax;
  calm = hasControl(bytes) ? undefined : bytes;
  clearFrom = 0;
  clearTo = 0;
}

/** The body may be forgotten. */
export function finish(): void {
  calm = undefined;
}

/** Starts at the opening quote. */
export function skipString(bytes: Uint8Array, start: number): number {
  if (bytes !== calm) return skipStringByBytes(bytes, start);
  if (start < clearFrom || start >= clearTo) {
    const found = bytes.indexOf(backslash, start);
    clearFrom = start;
    clearTo = found < 0 ? bytes.byteLength : found;
  }
  const end = bytes.indexOf(quote, start + 1);
  return end >= 0 && end < clearTo ? end + 1 : skipStringByBytes(bytes, start);
}

const bytesPerWord = 4;
const highBits = 0x80808080;
const spaces = 0x20202020;

/** Whether a byte is below the space. Four at a time: `word - spaces & ~word` has a high bit set when one of them is. */
function hasControl(bytes: Uint8Array): boolean {
  const start = (bytesPerWord - (bytes.byteOffset % bytesPerWord)) % bytesPerWord;
  const wordCount = Math.max(0, bytes.byteLength - start) >>> 2;
  let found = 0;
  if (wordCount > 0) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + start, wordCount);
    for (let index = 0; index < wordCount; index += 1) {
      const word = words[index] ?? 0;
      found |= (word - spaces) & ~word;
    }
  }
  if ((found & highBits) !== 0) return true;
  for (let at = 0; at < Math.min(start, bytes.byteLength); at += 1) if (byteAt(bytes, at) < space) return true;
  for (let at = start + wordCount * bytesPerWord; at < bytes.byteLength; at += 1) {
    if (byteAt(bytes, at) < space) return true;
  }
  return false;
}

function skipStringByBytes(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  for (;;) {
    while (continuesString[byteAt(bytes, at)] === 1) at += 1;
    const byte = byteAt(bytes, at);
    if (byte === quote) return at + 1;
    if (byte !== backslash) return -1;
    at = skipEscape(bytes, at + 1);
    if (at < 0) return -1;
  }
}

/** Hot: most members stand without any white space, and most values are strings. */
function skipObject(bytes: Uint8Array, start: number, depth: number): number {
  let at = skipSpace(bytes, start + 1);
  if (byteAt(bytes, at) === closeBrace) return at + 1;
  for (;;) {
    if (byteAt(bytes, at) !== quote) return -1;
    at = skipString(bytes, at);
    if (at < 0) return -1;
    if (byteAt(bytes, at) !== colon) at = skipSpace(bytes, at);
    if (byteAt(bytes, at) !== colon) return -1;
    at += 1;
    let byte = byteAt(bytes, at);
    if (byte === quote) at = skipString(bytes, at);
    else at = skipValue(bytes, byte <= space ? skipSpace(bytes, at) : at, depth);
    if (at < 0) return -1;
    byte = byteAt(bytes, at);
    if (byte <= space) {
      at = skipSpace(bytes, at);
      byte = byteAt(bytes, at);
    }
    if (byte === closeBrace) return at + 1;
    if (byte !== comma) return -1;
    at += 1;
    if (byteAt(bytes, at) <= space) at = skipSpace(bytes, at);
  }
}

function skipArray(bytes: Uint8Array, start: number, depth: number): number {
  let at = skipSpace(bytes, start + 1);
  if (byteAt(bytes, at) === closeBracket) return at + 1;
  for (;;) {
    at = skipValue(bytes, at, depth);
    if (at < 0) return -1;
    at = skipSpace(bytes, at);
    const byte = byteAt(bytes, at);
    if (byte === closeBracket) return at + 1;
    if (byte !== comma) return -1;
    at = skipSpace(bytes, at + 1);
  }
}

/** Starts after the backslash. */
function skipEscape(bytes: Uint8Array, at: number): number {
  const letter = byteAt(bytes, at);
  if (simpleEscape[letter] === 1) return at + 1;
  if (letter !== 0x75) return -1;
  for (let digit = at + 1; digit <= at + 4; digit += 1) if (!isHexDigit(byteAt(bytes, digit))) return -1;
  return at + 5;
}

function isHexDigit(byte: number): boolean {
  return (byte >= digit0 && byte <= digit9) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}

function skipNumber(bytes: Uint8Array, start: number): number {
  let at = byteAt(bytes, start) === minus ? start + 1 : start;
  // A leading zero stands alone; otherwise at least one digit.
  at = byteAt(bytes, at) === digit0 ? at + 1 : skipDigits(bytes, at);
  if (at < 0) return -1;
  if (byteAt(bytes, at) === dot) {
    at = skipDigits(bytes, at + 1);
    if (at < 0) return -1;
  }
  const byte = byteAt(bytes, at);
  if (byte !== 0x65 && byte !== 0x45) return at;
  const sign = byteAt(bytes, at + 1);
  return skipDigits(bytes, sign === plus || sign === minus ? at + 2 : at + 1);
}

/** At least one. */
function skipDigits(bytes: Uint8Array, start: number): number {
  let at = start;
  let byte = byteAt(bytes, at);
  while (byte >= digit0 && byte <= digit9) {
    at += 1;
    byte = byteAt(bytes, at);
  }
  return at === start ? -1 : at;
}

const literalTrue = Buffer.from('true');
const literalFalse = Buffer.from('false');
const literalNull = Buffer.from('null');

function skipLiteral(bytes: Uint8Array, start: number, literal: Uint8Array): number {
  for (let offset = 1; offset < literal.byteLength; offset += 1) {
    if (byteAt(bytes, start + offset) !== literal[offset]) return -1;
  }
  return start + literal.byteLength;
}
