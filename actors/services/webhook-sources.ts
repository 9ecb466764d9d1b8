// Webhook sources: what a third party posts in its own form becomes events in ours. This file is the contract with the
// gateway's webhook route and the transform that Sluice has built in: any JSON or form becomes a `track` event. Sources
// of other services are transformed by the transformer, if there is one (webhook-transformer.ts).
//
// The gateway authenticates, limits and unpacks the request, calls `transform`, and then
//   events    ingests `body`, a batch like that of POST /v1/batch, and answers `reply` once it is committed ('ok' if none)
//   answered  stores nothing and answers `reply` at once ('ok' if none)
//   refused   answers `status` with `text` (and Retry-After where status is 429 or 503)

import { randomUUID } from 'node:crypto';
import { jsonParts } from './json-parts.ts';
import type { SourceConfig } from './workspace.ts';

export interface WebhookRequest {
  /** Upper case. */
  method: string;
  path: string;
  /** What follows '?', or ''. */
  query: string;
  /** By lower-case names; without those that hold secrets. */
  headers: Readonly<Record<string, string>>;
  remoteAddress: string;
  /** Unpacked. Copied by the gateway if the transport uses its memory again: it is read after `transform` returned. */
  body: Buffer;
}

export interface WebhookReply {
  body: Buffer;
  contentType: string;
}

export type WebhookOutcome =
  | { kind: 'events'; body: Buffer; reply: WebhookReply | undefined }
  | { kind: 'answered'; reply: WebhookReply | undefined }
  | { kind: 'refused'; status: number; text: string };

export interface WebhookSources {
  /** Whether a GET of this source carries an event; otherwise the gateway answers 405. */
  acceptsGet(source: SourceConfig): boolean;
  /** `done` is called exactly once, within a deadline, possibly before `transform` returns. Never throws. */
  transform(source: SourceConfig, request: WebhookRequest, done: (outcome: WebhookOutcome) => void): void;
}

/** Event name of what arrives at a generic webhook, as the field names it. */
export const webhookEventName = 'webhook_source_event';

/** Source definitions that need no transformer: whatever they send is kept as it is. */
const genericDefinitions: ReadonlySet<string> = new Set(['webhook', 'generic', 'http']);

export function isGenericWebhook(source: SourceConfig): boolean {
  return genericDefinitions.has(source.sourceDefinition.name.toLowerCase());
}

const refusals = {
  invalidJson: { kind: 'refused', status: 400, text: 'invalid json' },
  noBody: { kind: 'refused', status: 400, text: 'request body is nil' },
  noTransformer: { kind: 'refused', status: 503, text: 'service unavailable' },
} as const satisfies Record<string, WebhookOutcome>;

/** Without a transformer: generic webhooks work, every other source is refused until there is one. */
export function builtInWebhookSources(newId: () => string = randomUUID): WebhookSources {
  return {
    acceptsGet: isGenericWebhook,
    transform(source, request, done) {
      if (!isGenericWebhook(source)) done(refusals.noTransformer);
      else
        readContent(request).then(
          (content) => done(genericOutcome(content, newId)),
          () => done(refusals.invalidJson),
        );
    },
  };
}

function genericOutcome(content: WebhookContent, newId: () => string): WebhookOutcome {
  if (content.kind !== 'value') return refusals[content.kind];
  const { value, bytes } = content;
  const parts = Array.isArray(value) ? [...jsonParts(bytes)] : [{ start: 0, end: bytes.byteLength }];
  if (parts.length === 0) return { kind: 'answered', reply: undefined };
  // One id for the whole request: its events come from one place, and nothing is known about whom they concern.
  const head = `{"type":"track","event":"${webhookEventName}","anonymousId":${JSON.stringify(newId())},"properties":`;
  const events = parts.map(({ start, end }) => {
    // As it came: numbers keep their digits.
    const text = bytes.toString('utf8', start, end).trim();
    return `${head}${text.startsWith('{') ? text : `{"value":${text}}`}}`;
  });
  return { kind: 'events', body: Buffer.from(`{"batch":[${events.join(',')}]}`), reply: undefined };
}

/** `bytes`: JSON of the value; the client's own where it sent JSON. */
type WebhookContent = { kind: 'value'; value: unknown; bytes: Buffer } | { kind: 'invalidJson' } | { kind: 'noBody' };

/** The body as a value: JSON, a form, or for a GET the query. Forms become tables of texts; repeated names, lists. */
export async function readContent(request: WebhookRequest): Promise<WebhookContent> {
  const { method, query, body, headers } = request;
  if (method === 'GET') return formOf(new URLSearchParams(query));
  if (body.byteLength === 0) return { kind: 'noBody' };
  const contentType = headers['content-type'] ?? '';
  if (/^application\/x-www-form-urlencoded\b/i.test(contentType)) {
    return formOf(new URLSearchParams(body.toString()));
  }
  if (/^multipart\/form-data\b/i.test(contentType)) {
    const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
    // Files are no events; their names tell at least that there were some.
    const fields = [...form].map(([name, value]): [string, string] => [
      name,
      typeof value === 'string' ? value : value.name,
    ]);
    return formOf(fields);
  }
  try {
    return { kind: 'value', value: JSON.parse(body.toString()), bytes: body };
  } catch {
    return { kind: 'invalidJson' };
  }
}

function formOf(fields: Iterable<[string, string]>): WebhookContent {
  const value = tableOf(fields);
  return { kind: 'value', value, bytes: Buffer.from(JSON.stringify(value)) };
}

function tableOf(fields: Iterable<[string, string]>): Record<string, string | string[]> {
  const byName = new Map<string, string | string[]>();
  for (const [name, value] of fields) {
    const known = byName.get(name);
    byName.set(name, known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value]);
  }
  // Defines own properties: a field called __proto__ stays a field.
  return Object.fromEntries(byName);
}
