// What a destination type implements: how one event becomes one request, or why it does not. Settings are looked at
// once per configuration change (`compile`), events one by one (`transform`), because the second runs for every event.

import type { RequestDescriptor } from '../job.ts';
import type { DestinationConfig } from '../services/workspace.ts';

/** A parsed event. Transforms must not change it: other destinations get the same object. */
export type EventObject = Record<string, unknown>;

/** What a transform may know about an event besides its content. */
export interface EventMetadata {
  sourceId: string;
  destinationId: string;
  messageId: string;
  receivedAtMs: number;
  /** Name and category of the source's definition. */
  sourceType?: string;
  sourceCategory?: string;
}

export type TransformResult =
  /** `request`: as it is stored (`encodeRequest`). `event` as body: the event's own bytes, which nobody has to encode. */
  | { kind: 'deliver'; request: string; body: Uint8Array | 'event' }
  | { kind: 'filtered'; reason: string }
  /** It can never be sent: wrong settings, or an event the destination has no use for. `code` as in delivery.md 1.8. */
  | { kind: 'aborted'; code: number; reason: string };

export interface CompiledDestination {
  /** Why every event will be aborted, whatever it holds; told to the operator before the first one comes. */
  readonly problem?: string;
  transform(event: EventObject, metadata: EventMetadata): TransformResult;
}

/**
 * What takes the jobs of a type to the destination: `http`, the router by the request descriptor; `custom`, a sender of
 * its own in the router; `batch`, the batch router by way of files. What this program has none of is refused (senders.ts).
 */
export type DeliveredBy = 'http' | 'custom' | 'batch';

export interface DestinationType {
  /** Name of the destination definition, upper case. */
  readonly name: string;
  readonly deliveredBy: DeliveredBy;
  /** For people: what is sent where. */
  readonly summary: string;
  readonly settings: readonly SettingDoc[];
  /** Message types it has a use for; undefined: all. */
  readonly messageTypes?: readonly string[];
  /** Absent: one event per request. */
  readonly batch?: BatchRules;
  compile(destination: DestinationConfig): CompiledDestination;
}

/** One key of a destination's `config`, for people. */
export interface SettingDoc {
  readonly key: string;
  readonly isRequired: boolean;
  readonly doc: string;
}

/** How a vendor takes several events in one request (batch.ts merges them and reads the answer). */
export interface BatchRules {
  readonly eventsMax: number;
  /** Of the whole body. */
  readonly bytesMax: number;
  /**
   * What an answer that is neither success nor "later" says about each event, by its index; undefined when it says
   * nothing. Successes that hold refusals of single events (207) are asked about as well.
   */
  readonly verdicts?: (answer: BatchAnswer, count: number) => BatchVerdict[] | undefined;
}

export interface BatchAnswer {
  readonly code: number;
  /** Parsed; an empty object when it is no JSON object. */
  readonly body: EventObject;
}

export type BatchVerdict =
  /** It ended like a request of its own with this code. */
  | { kind: 'ended'; code: number; reason?: string }
  /** It was refused only for its company: send it again, which is no attempt more. */
  | { kind: 'again' }
  /** Somebody in the batch is at fault: send each one alone to find out who. */
  | { kind: 'alone' };

const unsendableCode = 400;
const headerNamePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Anything else would end the header, or cannot be written in one byte. */
const badHeaderValuePattern = /[^\t\x20-\x7e\x80-\xff]/;

export function deliver(request: RequestDescriptor, body: Uint8Array | 'event'): TransformResult {
  return { kind: 'deliver', request: encodeRequest(request), body };
}

/**
 * A request as it stands in a job's parameters: without what nearly every request has in common. A row of `rt` is written
 * for every delivery, and what is left out is neither sent to Postgres nor kept there. Rows of earlier versions hold
 * everything and are read by the same rule.
 */
export type StoredRequest = Pick<RequestDescriptor, 'endpoint'> & Partial<RequestDescriptor>;

/** Part of what rows mean: a change needs a migration (0031-compact-requests.down.sql writes it out). */
const usual = { method: 'POST', format: 'JSON' } as const;

/** As JSON text. */
export function encodeRequest({ method, endpoint, headers, params, format, ...others }: RequestDescriptor): string {
  const stored: StoredRequest = { endpoint, ...others };
  if (method !== usual.method) stored.method = method;
  if (Object.keys(headers).length > 0) stored.headers = headers;
  if (Object.keys(params).length > 0) stored.params = params;
  if (format !== usual.format) stored.format = format;
  return JSON.stringify(stored);
}

/** Fills in what was left out. */
export function completeRequest(stored: StoredRequest): RequestDescriptor {
  const { method = usual.method, headers = {}, params = {}, format = usual.format } = stored;
  return Object.assign(stored, { method, headers, params, format });
}

/** For requests that are the same for every event but for their body: they are encoded once. */
export function sendTo(request: RequestDescriptor): (body: Uint8Array | 'event') => TransformResult {
  const encoded = encodeRequest(request);
  return (body) => ({ kind: 'deliver', request: encoded, body });
}

/** POST of JSON, what nearly every vendor wants. */
export function postJson(endpoint: string, headers: Record<string, string> = {}): RequestDescriptor {
  return { method: 'POST', endpoint, headers, params: {}, format: 'JSON' };
}

export function abort(reason: string, code = unsendableCode): TransformResult {
  return { kind: 'aborted', code, reason };
}

export function filter(reason: string): TransformResult {
  return { kind: 'filtered', reason };
}

/** Why a request cannot be sent as it is; undefined when it can. */
export function invalidRequest({ endpoint, headers }: RequestDescriptor): string | undefined {
  if (!isHttpUrl(endpoint)) return 'the endpoint is not an http or https URL';
  for (const name of Object.keys(headers)) {
    if (!headerNamePattern.test(name)) return `the header name ${JSON.stringify(name.slice(0, 100))} is not legal`;
    if (badHeaderValuePattern.test(headers[name] ?? '')) return `the value of the header ${name} is not legal`;
  }
  return undefined;
}

export function isHttpUrl(text: string): boolean {
  return /^https?:/i.test(text) && URL.canParse(text);
}

export function basicAuthorization(user: string, password: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
