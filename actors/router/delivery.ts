// One delivery over HTTP: a request descriptor and body bytes become a request, the answer becomes a code and a text
// that may be kept. It knows no job, no retry and no order; the router decides what a code means.

import { gunzipSync, inflateSync, constants as zlib } from 'node:zlib';
import type { ConnectionOptions, HttpClient, OutboundOutcome, OutboundResponse } from '../../transport/index.ts';
import type { RequestDescriptor } from '../job.ts';
import type { DestinationConfig } from '../services/workspace.ts';
import type { TransformerJob } from '../transformer/contract.ts';
import type { RuleSet } from './response-rules.ts';
import { parseRetryAfter } from './retry.ts';
import { signatureHeaders } from './signature.ts';

export interface DeliveryRequest {
  /** Destination: its requests share connections with nobody else. */
  poolKey: string;
  /** Its configuration, for deliveries that are more than a request. */
  destination: DestinationConfig | undefined;
  request: RequestDescriptor;
  body: Uint8Array;
  /** How many the body holds. */
  jobs: number;
  /** The text of a success is wanted as well. */
  keepsAnswer: boolean;
  /** The same for every attempt of a job, different for every other job; '': it has none. */
  idempotencyKey: string;
  traceparent: string | undefined;
  /** Secrets to sign it with (signature.ts); none: it is not signed. */
  signingKeys: readonly Buffer[];
  /** What answers mean at this destination, for who has to know it before the router; absent: the code tells. */
  rules?: RuleSet;
  /** Absent: connections like everybody's. */
  connection?: ConnectionOptions;
  /** For who asks the transformer about it (transformed-delivery.ts); absent when the body holds many jobs. */
  about?: TransformerJob;
}

export interface DeliveryOutcome {
  /** HTTP status; 504 when there was no answer, 400 when the descriptor cannot be sent. */
  code: number;
  /** What the destination said, at most `answerCharactersMax`, or why there is nothing to show. */
  response: string;
  contentType: string;
  retryAfterMs: number | undefined;
  /** Of the answer, lower case; absent when there was none. */
  headers?: OutboundResponse['headers'];
  /** A rule decided what it counts as, and why (response-rules.ts). */
  rule?: string;
  /** Where it ended; default: at the destination. */
  stage?: 'router_dest_transformer';
  /** It says nothing about the job, which is tried again however often it was. */
  isBlameless?: boolean;
}

/** The router's only way out; tests put another one in its place. `done` is called once, later. */
export interface Delivery {
  send(request: DeliveryRequest, done: (outcome: DeliveryOutcome) => void): void;
  /** The destination's connections are not needed any more. */
  release(poolKey: string): void;
}

export interface HttpDeliveryOptions {
  timeoutMs: number;
  nowMs(): number;
}

const answerCharactersMax = 10 * 1024;
/** An unpacked answer beyond this is not worth having. */
const unpackedBytesMax = 64 * 1024;
const redirectCharactersMax = 500;
const noAnswerCode = 504;
const unsendableCode = 400;
const noBytes = new Uint8Array(0);

const contentTypes: Readonly<Record<RequestDescriptor['format'], string>> = {
  JSON: 'application/json',
  JSON_ARRAY: 'application/json',
  XML: 'application/xml',
  FORM: 'application/x-www-form-urlencoded',
  GZIP: 'application/json',
  NONE: '',
  CUSTOM: '',
  EVENT: '',
};

export function createHttpDelivery(client: HttpClient, options: HttpDeliveryOptions): Delivery {
  // Jobs of a destination mostly share one descriptor: what follows from it is worked out once for those in a row.
  let last: Prepared | undefined;
  return {
    send(delivery, done) {
      const { request } = delivery;
      const prepared = last?.request === request ? last : prepare(request);
      if (prepared === undefined) {
        queueMicrotask(() => done(unsendable('expected an http or https URL as endpoint, got something else')));
        return;
      }
      last = prepared;
      const hasBody = request.format !== 'NONE' && delivery.body.byteLength > 0;
      client.send(
        {
          poolKey: delivery.poolKey,
          origin: prepared.origin,
          path: prepared.path,
          method: request.method,
          headers: headersOf(delivery, prepared, options.nowMs()),
          body: hasBody ? delivery.body : null,
          timeoutMs: options.timeoutMs,
          ...(delivery.connection === undefined ? {} : { connection: delivery.connection }),
        },
        (outcome) => done(readOutcome(outcome, delivery.keepsAnswer, options.nowMs())),
      );
    },
    release(poolKey) {
      client.release(poolKey);
    },
  };
}

interface Prepared extends Target {
  readonly request: RequestDescriptor;
  /** Names and values in turn that are the same for every job. */
  readonly headers: readonly string[];
}

/** Undefined when the endpoint is no URL we can send to. */
function prepare(request: RequestDescriptor): Prepared | undefined {
  const target = targetOf(request);
  if (target === undefined) return undefined;
  const headers: string[] = [];
  let hasContentType = request.format === 'NONE';
  for (const name in request.headers) {
    const lower = name.toLowerCase();
    if (ownHeaders.has(lower)) continue;
    if (lower === 'content-type') hasContentType = true;
    headers.push(name, request.headers[name] ?? '');
  }
  if (!hasContentType) headers.push('Content-Type', contentTypes[request.format]);
  if (request.format === 'GZIP') headers.push('Content-Encoding', 'gzip');
  headers.push('User-Agent', 'RudderLabs');
  if (target.authorization !== undefined) headers.push('Authorization', target.authorization);
  return { ...target, request, headers };
}

interface Target {
  origin: string;
  path: string;
  /** From `https://user:password@host/`, unless the headers say something else. */
  authorization: string | undefined;
}

/** Origin and path with the descriptor's params, or undefined when the endpoint is no URL we can send to. */
function targetOf(request: RequestDescriptor): Target | undefined {
  if (!URL.canParse(request.endpoint)) return undefined;
  const url = new URL(request.endpoint);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  for (const [name, value] of Object.entries(request.params)) url.searchParams.append(name, printParam(value));
  return { origin: url.origin, path: url.pathname + url.search, authorization: authorizationOf(url, request) };
}

function authorizationOf(url: URL, request: RequestDescriptor): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  if (Object.keys(request.headers).some((name) => name.toLowerCase() === 'authorization')) return undefined;
  try {
    const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    return `Basic ${Buffer.from(credentials).toString('base64')}`;
  } catch {
    // A stray percent sign: what is there cannot be credentials, and the destination will say so.
    return undefined;
  }
}

/** Strings as they are, structures as JSON, the rest printed (spec/delivery.md 1.8). */
function printParam(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

function headersOf(delivery: DeliveryRequest, prepared: Prepared, nowMs: number): string[] {
  const { request, idempotencyKey, traceparent, signingKeys } = delivery;
  const headers = prepared.headers.slice();
  if (idempotencyKey !== '') headers.push('Idempotency-Key', idempotencyKey);
  if (traceparent !== undefined) headers.push('traceparent', traceparent);
  if (signingKeys.length > 0) {
    const signed = request.format === 'NONE' ? noBytes : delivery.body;
    headers.push(...signatureHeaders(signingKeys, idempotencyKey, nowMs, signed));
  }
  return headers;
}

/** Set by us or by the connection; what a destination's settings say about them does not count. */
const ownHeaders: ReadonlySet<string> = new Set([
  'user-agent',
  'idempotency-key',
  'traceparent',
  'webhook-id',
  'webhook-timestamp',
  'webhook-signature',
  'host',
  'connection',
  'keep-alive',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

function readOutcome(outcome: OutboundOutcome, keepsAnswer: boolean, nowMs: number): DeliveryOutcome {
  if (!outcome.ok) {
    const { code, message } = outcome.error;
    if (code === 'HTTP_INVALID_REQUEST') return unsendable(message);
    return { code: noAnswerCode, response: `${code}: ${message}`, contentType: '', retryAfterMs: undefined };
  }
  const { response } = outcome;
  return {
    code: response.status,
    response: isSuccess(response.status) && !keepsAnswer ? '' : (redirectOf(response) ?? textOf(response)),
    contentType: response.contentType ?? '',
    retryAfterMs: parseRetryAfter(response.retryAfter, nowMs),
    headers: response.headers,
  };
}

/** Followed by nobody: it might lead where deliveries may not go, and a POST would come again as a GET. */
function redirectOf({ status, headers }: OutboundResponse): string | undefined {
  const { location } = headers;
  if (status < 300 || status >= 400 || typeof location !== 'string') return undefined;
  return `redirects are not followed: ${location.slice(0, redirectCharactersMax)}`.replaceAll('\0', '');
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function unsendable(reason: string): DeliveryOutcome {
  return { code: unsendableCode, response: reason, contentType: '', retryAfterMs: undefined };
}

function textOf(response: OutboundResponse): string {
  if (response.body.byteLength === 0) return '';
  if (!/^\s*text\/|json|xml/i.test(response.contentType ?? '')) return 'redacted due to unsupported content-type';
  const bytes = unpack(response);
  if (bytes === undefined) return 'redacted due to unreadable content-encoding';
  // Postgres text cannot hold U+0000, not even escaped in a jsonb look at it later.
  return bytes.toString('utf8').slice(0, answerCharactersMax).replaceAll('\0', '');
}

/** We never ask for a packed answer, but some send one. It may be cut short, so a missing end is no error. */
function unpack(response: OutboundResponse): Buffer | undefined {
  const options = { maxOutputLength: unpackedBytesMax, finishFlush: zlib.Z_SYNC_FLUSH };
  try {
    switch (response.contentEncoding?.trim().toLowerCase() ?? 'identity') {
      case 'identity':
      case '':
        return response.body;
      case 'gzip':
      case 'x-gzip':
        return gunzipSync(response.body, options);
      case 'deflate':
        return inflateSync(response.body, options);
      default:
        return undefined;
    }
  } catch {
    // Broken or a bomb: the answer is only for people to read, so it is left out.
    return undefined;
  }
}
