// Reads single values out of an event's bytes as the reference gateway would see them: ids as sanitised text. Only
// these few short values are ever decoded at the gateway.

import { hash } from 'node:crypto';
import { userIdDelimiter } from '../job.ts';
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

/**
 * An id as a column has it. Sealed datasets are indexed by user and by message, and an index of Postgres takes no value
 * beyond some 2,700 bytes: of a long id the beginning is kept, and a hash tells it from others. Events keep theirs.
 */
export function keyText(id: string): string {
  if (id.length <= keyCharactersMax) return id;
  return `${sanitise(id.slice(0, keyStartCharacters))}~${hash('sha256', id, 'base64url')}`;
}

/** The same for a user id of three parts. */
export function compositeKeyText(id: string): string {
  if (id.length <= keyCharactersMax) return id;
  return id.split(userIdDelimiter, userIdParts).map(keyText).join(userIdDelimiter);
}

/** The id of a job or task run as it is kept: cut, because it stands in an index with other ids. */
export function runIdText(id: string): string {
  const clean = sanitise(id.slice(0, runIdBytesMax));
  if (Buffer.byteLength(clean) <= runIdBytesMax) return clean;
  return Buffer.from(clean).subarray(0, runIdBytesMax).toString().replaceAll('\ufffd', '');
}

/** The reference's `rudderId`: the MD5 of both ids in the form of a UUID, without version bits. */
export function rudderIdOf(userId: string, anonymousId: string): string {
  const digest = hash('md5', `${userId}:${anonymousId}`, 'hex');
  const start = `${digest.slice(0, 8)}-${digest.slice(8, 12)}-${digest.slice(12, 16)}`;
  return `${start}-${digest.slice(16, 20)}-${digest.slice(20)}`;
}

/** Three of them, at three bytes a character, fit an index. */
const keyCharactersMax = 200;
const keyStartCharacters = 128;
const userIdParts = 3;
const runIdBytesMax = 255;
const integerPattern = /^-?\d+$/;
/** In Unicode mode a proper pair is one code point, so what matches is alone. */
const loneSurrogate = /\p{Surrogate}/gu;
