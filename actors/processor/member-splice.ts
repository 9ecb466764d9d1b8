// Replaces top-level members in the bytes of an event without looking into the others: times in forms of their own are
// frequent, and an event should not have to be printed anew for them. The bytes were parsed before, and are not judged.

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;

/** The bytes in pieces, with these members' values as they are in `value`; all else stays byte by byte. */
export function replaceMembers(
  bytes: Buffer,
  value: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let copied = 0;
  let at = skipSpace(bytes, skipSpace(bytes, 0) + 1);
  while (bytes[at] === quote) {
    const keyEnd = skipString(bytes, at);
    const start = skipSpace(bytes, skipSpace(bytes, keyEnd) + 1);
    const end = skipValue(bytes, start);
    const name = nameAmong(names, bytes, at, keyEnd);
    if (name !== undefined) {
      pieces.push(bytes.subarray(copied, start), Buffer.from(JSON.stringify(value[name])));
      copied = end;
    }
    at = skipSpace(bytes, end);
    if (bytes[at] === comma) at = skipSpace(bytes, at + 1);
  }
  pieces.push(bytes.subarray(copied));
  return pieces;
}

/** The one that the key from `start` to `end` spells; most keys are told apart by their length. */
function nameAmong(names: readonly string[], bytes: Buffer, start: number, end: number): string | undefined {
  const length = end - start - 2;
  for (const name of names) {
    if (name.length === length && bytes.toString('latin1', start + 1, end - 1) === name) return name;
  }
  // Letters may be written as \u0041, and take several bytes: such a key is longer than its name.
  for (let at = start + 1; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte !== backslash && byte < 0x80) continue;
    const decoded: unknown = JSON.parse(bytes.toString('utf8', start, end));
    return names.find((name) => name === decoded);
  }
  return undefined;
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let at = start;
  for (let byte = bytes[at]; byte !== undefined && byte <= 0x20; byte = bytes[at]) at += 1;
  return at;
}

function skipString(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  for (let byte = bytes[at]; byte !== quote && byte !== undefined; byte = bytes[at]) at += byte === backslash ? 2 : 1;
  return at + 1;
}

/** Brackets are counted, not matched. */
function skipValue(bytes: Uint8Array, start: number): number {
  const first = bytes[start];
  if (first === quote) return skipString(bytes, start);
  let at = start;
  if (first !== 0x7b && first !== 0x5b) {
    while (!endsScalar(bytes[at])) at += 1;
    return at;
  }
  let depth = 0;
  do {
    const byte = bytes[at];
    if (byte === quote) {
      at = skipString(bytes, at);
      continue;
    }
    if (byte === 0x7b || byte === 0x5b) depth += 1;
    else if (byte === 0x7d || byte === 0x5d) depth -= 1;
    at += 1;
  } while (depth > 0 && at < bytes.byteLength);
  return at;
}

function endsScalar(byte: number | undefined): boolean {
  return byte === undefined || byte === comma || byte === 0x7d || byte === 0x5d || byte <= 0x20;
}
