// A JSON value as XML 1.0: members become elements, lists repeat theirs. What XML has no place for (characters it cannot
// hold, names that are none) is left out or replaced, so that the text is always well-formed.

import { isObject } from './destination.ts';

/** Name characters of XML without colons, which would make namespaces. */
const otherNameCharacters = /[^\p{L}\p{N}_.-]/gu;
const nameStart = /^[\p{L}_]/u;
/** Everything XML 1.0 can hold; lone surrogates are not. */
const unholdable = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;
const depthMax = 100;

export function xmlOf(value: unknown, root: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>${element(root, value, depthMax)}`;
}

function element(name: string, value: unknown, depth: number): string {
  if (Array.isArray(value)) return value.map((item) => element(name, item, depth)).join('');
  const tag = nameOf(name);
  return `<${tag}>${contentOf(value, depth)}</${tag}>`;
}

function contentOf(value: unknown, depth: number): string {
  if (value === null || value === undefined) return '';
  if (!isObject(value)) return escapeText(Array.isArray(value) ? JSON.stringify(value) : String(value));
  if (depth === 0) return escapeText(JSON.stringify(value));
  return Object.entries(value)
    .map(([key, item]) => element(key, item, depth - 1))
    .join('');
}

function nameOf(key: string): string {
  const name = key.replace(otherNameCharacters, '_');
  return nameStart.test(name) ? name : `_${name}`;
}

function escapeText(text: string): string {
  return text.replace(unholdable, '').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
