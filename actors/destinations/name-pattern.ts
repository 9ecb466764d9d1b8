// Which events a setting is about: by name, with `*` for any part of it, or by a regular expression. Those are customers'
// code, so they are matched in linear time by RE2's algorithm, and only on names short enough for it.

import { createRequire } from 'node:module';
import type * as Re2 from 're2js';

export type NamePattern = (name: string) => boolean;

const require = createRequire(import.meta.url);
/** Characters of the name times the size of the program: a hundredth of a second at the very worst. */
const stepsMax = 200_000;
const patternCharactersMax = 500;

/** The pattern, or what is wrong with it. */
export function namePattern(pattern: string, isRegex: boolean): NamePattern | string {
  if (!isRegex) return (name) => matchesName(pattern, name);
  if (pattern.length > patternCharactersMax) return `expected a pattern of at most ${patternCharactersMax} characters`;
  try {
    // Hardly anybody has one, and every thread would have to hold the library.
    const { RE2JS } = require('re2js') as typeof Re2;
    const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
    const charactersMax = Math.floor(stepsMax / compiled.programSize());
    return (name) => name.length <= charactersMax && compiled.matcher(name).find();
  } catch {
    return `expected ${JSON.stringify(pattern)} to be a regular expression`;
  }
}

/** `*` stands for any part of a name. */
export function matchesName(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return pattern === name;
  const last = rest.pop() ?? '';
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  const end = name.length - last.length;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

/** Rows with `eventName` and `eventRegex`, each with its pattern; a text when one of them is wrong. */
export function matchedRows<R extends { eventName: string; eventRegex: string }>(
  key: string,
  list: readonly R[],
): (R & { matches: NamePattern })[] | string {
  const found: (R & { matches: NamePattern })[] = [];
  for (const row of list) {
    const matches = namePattern(row.eventName, row.eventRegex === 'true');
    if (typeof matches === 'string') return `${key}: ${matches}`;
    found.push({ ...row, matches });
  }
  return found;
}
