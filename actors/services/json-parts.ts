// Cuts the text of a JSON table or list into its members without parsing them, so that of a large document only what
// changed need be parsed, and not all of it in one go. It finds boundaries and judges nothing: a part is proven to be
// JSON by whoever parses it, and a part that is none (also an empty one) fails there.

export interface JsonPart {
  /** The decoded name; '' in a list. */
  name: string;
  start: number;
  end: number;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;

/** Members of the table or list that begins at `start` (spaces allowed). Throws SyntaxError where there is none. */
export function* jsonParts(bytes: Uint8Array, start = 0): Generator<JsonPart, number> {
  let at = skipSpace(bytes, start);
  const isTable = bytes[at] === 0x7b;
  const close = isTable ? 0x7d : 0x5d;
  if (!isTable && bytes[at] !== 0x5b) throw new SyntaxError('expected a table or a list');
  at = skipSpace(bytes, at + 1);
  if (bytes[at] === close) return at + 1;
  for (;;) {
    let name = '';
    if (isTable) {
      const nameEnd = skipString(bytes, at);
      name = JSON.parse(textOf(bytes, at, nameEnd)) as string;
      at = skipSpace(bytes, nameEnd);
      if (bytes[at] !== colon) throw new SyntaxError('expected a colon after a name');
      at = skipSpace(bytes, at + 1);
    }
    const end = skipValue(bytes, at);
    yield { name, start: at, end };
    at = skipSpace(bytes, end);
    if (bytes[at] === close) return at + 1;
    if (bytes[at] !== comma) throw new SyntaxError('expected a comma or the end');
    at = skipSpace(bytes, at + 1);
  }
}

/** Offset behind the last byte that is not a space. */
export function skipSpace(bytes: Uint8Array, start: number): number {
  let at = start;
  while (isSpace(bytes[at])) at += 1;
  return at;
}

function skipValue(bytes: Uint8Array, start: number): number {
  let at = start;
  let depth = 0;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined) throw new SyntaxError('expected a value, got the end');
    if (byte === quote) {
      at = skipString(bytes, at);
      if (depth === 0) return at;
    } else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      at += 1;
    } else if (byte === 0x7d || byte === 0x5d) {
      if (depth === 0) return at;
      depth -= 1;
      at += 1;
      if (depth === 0) return at;
    } else if (depth === 0 && (byte === comma || isSpace(byte))) {
      return at;
    } else {
      at += 1;
    }
  }
}

function skipString(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== quote) throw new SyntaxError('expected a name');
  for (let at = start + 1; at < bytes.byteLength; at += 1) {
    if (bytes[at] === backslash) at += 1;
    else if (bytes[at] === quote) return at + 1;
  }
  throw new SyntaxError('expected the end of a text');
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
}
