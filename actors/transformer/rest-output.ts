// The form of a request in the transformer's answers (spec/transformer-and-clients.md 1.2, 1.10), read into a
// descriptor and body bytes, and back for what is passed on to its proxy. Whatever cannot be sent has a reason.

import { gunzipSync, gzipSync } from 'node:zlib';
import type { RequestDescriptor } from '../job.ts';
import type { OutputRequest } from './contract.ts';

type Table = Record<string, unknown>;
type Format = RequestDescriptor['format'];

const noBytes = new Uint8Array(0);
const openBracket = '['.charCodeAt(0);
/** The order in which the field looks for the body. */
const formats: readonly Exclude<Format, 'NONE' | 'CUSTOM' | 'EVENT'>[] = ['JSON', 'JSON_ARRAY', 'XML', 'FORM', 'GZIP'];

/** The request, or why it is none that can be sent. */
export function readRestOutput(output: unknown): OutputRequest | string {
  if (!isTable(output)) return `expected output to be an object, got ${nameOf(output)}`;
  const { type, method, endpoint, headers, params, body, files } = output;
  if (type !== 'REST') return `expected a request of type REST, got ${shown(type)}`;
  if (isTable(files) && Object.keys(files).length > 0) return 'expected a request without files';
  if (typeof endpoint !== 'string' || endpoint === '') return `expected endpoint to be a URL, got ${shown(endpoint)}`;
  const encoded = encodeBody(body);
  if (typeof encoded === 'string') return encoded;
  const request: RequestDescriptor = {
    method: typeof method === 'string' && method !== '' ? method.toUpperCase() : 'POST',
    endpoint,
    headers: isTable(headers) ? textsOf(headers) : {},
    params: isTable(params) ? params : {},
    format: encoded.format,
  };
  return { request, body: encoded.bytes, output };
}

function encodeBody(body: unknown): { format: Format; bytes: Uint8Array } | string {
  if (body === undefined || body === null) return { format: 'NONE', bytes: noBytes };
  if (!isTable(body)) return `expected body to be an object, got ${nameOf(body)}`;
  const given = Object.entries(body).filter(([, content]) => !isEmpty(content));
  const [first, ...others] = given;
  if (first === undefined) return { format: 'NONE', bytes: noBytes };
  if (others.length > 0) return `expected one body, got ${given.map(([name]) => name).join(' and ')}`;
  const [name, content] = first;
  const format = formats.find((known) => known === name);
  if (format === undefined) return `expected a body of ${formats.join(', ')}, got ${name.slice(0, 40)}`;
  if (!isTable(content)) return `expected body.${format} to be an object, got ${nameOf(content)}`;
  switch (format) {
    case 'JSON':
      return { format, bytes: Buffer.from(JSON.stringify(content)) };
    case 'FORM':
      return { format, bytes: Buffer.from(new URLSearchParams(formTexts(content)).toString()) };
    case 'JSON_ARRAY':
      return withText(format, 'batch', content.batch, (text) => Buffer.from(text));
    case 'XML':
      return withText(format, 'payload', content.payload, (text) => Buffer.from(text));
    case 'GZIP':
      return withText(format, 'payload', content.payload, (text) => gzipSync(text));
  }
}

function withText(format: Format, key: string, text: unknown, encode: (text: string) => Uint8Array) {
  if (typeof text !== 'string') return `expected body.${format}.${key} to be a text, got ${nameOf(text)}`;
  return { format, bytes: encode(text) };
}

/** The form of a request we made ourselves. Undefined: its body has none. */
export function restOutputOf(request: RequestDescriptor, body: Uint8Array): OutputRequest | undefined {
  const { method, endpoint, headers, params, format } = request;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  // Its JSON is always an object; a list goes as the text it is.
  const wireFormat = format === 'JSON' && bytes[0] === openBracket ? 'JSON_ARRAY' : format;
  const content = decodeBody(wireFormat, bytes);
  if (content === undefined) return undefined;
  const empty: Table = { JSON: {}, JSON_ARRAY: {}, XML: {}, FORM: {} };
  const wire = format === 'NONE' ? empty : { ...empty, [wireFormat]: content };
  const output = { version: '1', type: 'REST', method, endpoint, headers, params, body: wire, files: {}, userId: '' };
  return { request, body, output };
}

function decodeBody(format: Format, body: Buffer): Table | undefined {
  try {
    switch (format) {
      case 'NONE':
        return {};
      case 'JSON': {
        const value: unknown = JSON.parse(body.toString('utf8'));
        return isTable(value) ? value : undefined;
      }
      case 'JSON_ARRAY':
        return { batch: body.toString('utf8') };
      case 'XML':
        return { payload: body.toString('utf8') };
      case 'FORM':
        return Object.fromEntries(new URLSearchParams(body.toString('utf8')));
      case 'GZIP':
        return { payload: gunzipSync(body).toString('utf8') };
      default:
        return undefined;
    }
  } catch {
    return undefined;
  }
}

function isEmpty(content: unknown): boolean {
  if (content === undefined || content === null || content === '') return true;
  return typeof content === 'object' && Object.keys(content).length === 0;
}

function formTexts(content: Table): [string, string][] {
  return Object.entries(content).map(([name, value]) => [name, textOf(value)]);
}

function textsOf(table: Table): Record<string, string> {
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, textOf(value)]));
}

function textOf(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nameOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : nameOf(value);
}
