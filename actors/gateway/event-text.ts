// Reads single values out of an event's bytes as the reference gateway would see them: ids as sanitised text. Only
// these few short values are ever decoded at the gateway.

import { hash } from 'node:crypto';
import { quote } from './json-grammar.ts';

/**
 * Text of an id: a string without surrounding white space; a number by its digits; a literal by its name; anything
 * else as JSON. '' when absent or null. Free of U+0000 and lone surrogates, which Postgres text refuses.
 */
export function idText(bytes: Buffer, start: number, end: number): string {
  if (end === 0) return '';
  if (bytes[start] === quote) return stringText(bytes, start, end);
  const raw = bytes.toString('utf8', start, end);
  if (raw === 'null') return '';
  // Digits are kept as sent: a number would lose them beyond 2^53.
  if (raw === 'true' || raw === 'false' || integerPattern.test(raw)) return raw;
  return sanitise(JSON.stringify(JSON.parse(raw)));
}

/** Text of a string value, trimmed and sanitised; '' when absent or not a string. */
export function stringText(bytes: Buffer, start: number, end: number): string {
  return cleanText(rawText(bytes, start, end));
}

/** What stands between the quotes of a string value, still escaped; '' when absent or not a string. */
export function rawText(bytes: Buffer, start: number, end: number): string {
  return end === 0 || bytes[start] !== quote ? '' : bytes.toString('utf8', start + 1, end - 1);
}

/** The text a raw one stands for, trimmed and sanitised. Equal to `inner` exactly when there was nothing to do. */
export function cleanText(inner: string): string {
  if (!inner.includes('\\')) return inner.trim();
  const decoded: unknown = JSON.parse(`"${inner}"`);
  return sanitise(String(decoded)).trim();
}

/** Without U+0000, and with U+FFFD for lone surrogates. */
export function sanitise(text: string): string {
  return text.replaceAll('\u0000', '').replace(loneSurrogate, '\ufffd');
}

/** The reference's `rudderId`: the MD5 of both ids in the form of a UUID, without version bits. */
export function rudderIdOf(userId: string, anonymousId: string): string {
  const digest = hash('md5', `${userId}:${anonymousId}`, 'hex');
  const start = `${digest.slice(0, 8)}-${digest.slice(8, 12)}-${digest.slice(12, 16)}`;
  return `${start}-${digest.slice(16, 20)}-${digest.slice(20)}`;
}

const integerPattern = /^-?\d+$/;
/** In Unicode mode a proper pair is one code point, so what matches is alone. */
const loneSurrogate = /\p{Surrogate}/gu;
