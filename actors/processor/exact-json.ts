// Writes an event anew without losing what JSON.parse lost: a number beyond 2^53, 1e400, -0 or 1.10 has no exact double,
// so its text is taken from where it came from wherever the value is still the same. The text is the one that the value
// was parsed from, and so need not be judged.

import { isObject } from '../destinations/destination.ts';

/** Whether a number of this text would be printed in another way. A cheap look: it may be wrong about strings. */
export function mayBeInexact(text: string): boolean {
  return inexactNumber.test(text);
}

/** Sixteen digits are more than every double holds; then exponents, -0 and zeros at the end of a fraction. */
const inexactNumber = /[:,[]\s*-?(?:[\d.]{16}|[\d.]+[eE]|\d+\.\d*0(?!\d))|[:,[]\s*-0(?![\d.])/;

/** JSON of `value`, with the texts of `text` for all strings, numbers and literals that are still in their places. */
export function printExactly(text: string, value: unknown): string {
  return new Printer(text).print(value);
}

/** The same of one member of an object's text. */
export function printMember(text: string, name: string, value: unknown): string {
  return new Printer(text).printMember(name, value);
}

class Printer {
  readonly #text: string;
  #at: number;

  constructor(text: string) {
    this.#text = text;
    this.#at = skipSpace(text, 0);
  }

  /** What stands here is left behind, whatever becomes of it. */
  print(value: unknown): string {
    const start = this.#at;
    const first = this.#text[start];
    if (first === '{' && isObject(value)) return this.#printObject(value);
    if (first === '[' && Array.isArray(value)) return this.#printList(value);
    this.#at = skipValue(this.#text, start);
    if (typeof value === 'object' && value !== null) return JSON.stringify(value);
    const same = first !== '{' && first !== '[' && this.#isSame(start, value);
    return same ? this.#text.slice(start, this.#at) : JSON.stringify(value);
  }

  printMember(name: string, value: unknown): string {
    const printed = this.print({ [name]: value });
    return printed.slice(printed.indexOf(':') + 1, -1);
  }

  #printObject(value: Readonly<Record<string, unknown>>): string {
    const text = this.#text;
    // Of members with the same name the last one counts.
    const members = new Map<string, string>();
    this.#at = skipSpace(text, this.#at + 1);
    while (text[this.#at] === '"') {
      const start = this.#at;
      const end = skipString(text, start);
      const name = stringOf(text, start, end);
      this.#at = skipSpace(text, skipSpace(text, end) + 1);
      const own = Object.hasOwn(value, name) ? value[name] : undefined;
      if (own === undefined) this.#at = skipValue(text, this.#at);
      else members.set(name, `${text.slice(start, end)}:${this.print(own)}`);
      this.#skipComma();
    }
    this.#at += 1;
    for (const [name, own] of Object.entries(value)) {
      if (own !== undefined && !members.has(name)) members.set(name, `${JSON.stringify(name)}:${JSON.stringify(own)}`);
    }
    return `{${[...members.values()].join(',')}}`;
  }

  #printList(value: readonly unknown[]): string {
    const text = this.#text;
    const items: string[] = [];
    this.#at = skipSpace(text, this.#at + 1);
    while (text[this.#at] !== ']') {
      if (items.length < value.length) items.push(this.print(value[items.length] ?? null));
      else this.#at = skipValue(text, this.#at);
      this.#skipComma();
    }
    this.#at += 1;
    for (const item of value.slice(items.length)) items.push(JSON.stringify(item ?? null));
    return `[${items.join(',')}]`;
  }

  #isSame(start: number, value: unknown): boolean {
    const raw = this.#text.slice(start, this.#at);
    if (typeof value === 'string' && !raw.includes('\\')) {
      return raw.length === value.length + 2 && raw.startsWith(value, 1) && raw[0] === '"';
    }
    return Object.is(JSON.parse(raw), value);
  }

  #skipComma(): void {
    this.#at = skipSpace(this.#text, this.#at);
    if (this.#text[this.#at] === ',') this.#at = skipSpace(this.#text, this.#at + 1);
  }
}

function stringOf(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  return inner.includes('\\') ? String(JSON.parse(text.slice(start, end))) : inner;
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (text.charCodeAt(at) <= 0x20) at += 1;
  return at;
}

function skipString(text: string, start: number): number {
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
    from = quote + 1;
  }
}

/** Behind the value that starts here; its brackets are counted, not matched. */
function skipValue(text: string, start: number): number {
  let depth = 0;
  let at = start;
  do {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = skipString(text, at);
    else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      at += 1;
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
      at += 1;
    } else if (depth > 0) at += 1;
    else at = scalarEnd(text, at);
  } while (depth > 0 && at < text.length);
  return at;
}

/** A number or a literal: everything up to what ends it. */
function scalarEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x2c || code === 0x5d || code === 0x7d || code <= 0x20) break;
    at += 1;
  }
  return at;
}
