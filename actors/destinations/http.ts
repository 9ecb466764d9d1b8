// HTTP: any REST API. Address, query, headers and body are put together from constants and parts of the event, which
// are named by JSONPath (`$.properties.total`). Settings as in RudderStack's documentation of its HTTP Webhook destination.

import type { RequestDescriptor } from '../job.ts';
import { batchTo } from './batch.ts';
import { defineDestination, type Transform } from './define-destination.ts';
import {
  abort,
  basicAuthorization,
  deliver,
  type EventObject,
  invalidRequest,
  postJson,
  type TransformResult,
} from './destination.ts';
import { isPlace, type JsonPath, parsePath, readPath, writePath } from './json-path.ts';
import { flag, oneOf, rows, type SettingValues, text, url } from './settings.ts';
import { xmlOf } from './xml.ts';

const batchEventsMax = 100;
const noBody = new Uint8Array(0);
/** URLs cannot hold them. */
const loneSurrogate = /\p{Cs}/gu;

const settings = {
  apiUrl: url('where requests go; paths are put after it'),
  method: oneOf('of the requests', ['POST', 'PUT', 'PATCH', 'GET', 'DELETE']),
  auth: oneOf('how to say who we are', ['noAuth', 'basicAuth', 'bearerTokenAuth', 'apiKeyAuth']),
  username: text('for `basicAuth`', ''),
  password: text('for `basicAuth`', ''),
  bearerToken: text('for `bearerTokenAuth`', ''),
  apiKeyName: text('header of the key for `apiKeyAuth`', ''),
  apiKeyValue: text('key for `apiKeyAuth`', ''),
  format: oneOf('of the body', ['JSON', 'XML', 'FORM']),
  xmlRootKey: text('name of the outermost element', 'root'),
  pathParams: rows('parts of the path, constants or JSONPaths', ['path']),
  queryParams: rows('parameters by name, constants or JSONPaths', ['to', 'from']),
  headers: rows('headers by name, constants or JSONPaths', ['to', 'from']),
  isDefaultMapping: flag('the whole event is the body, whatever `propertiesMapping` says'),
  propertiesMapping: rows('JSONPath in the body by constants or JSONPaths in the event; empty: the whole event', [
    'to',
    'from',
  ]),
  isBatchingEnabled: flag('the body is a list, of several events where possible; JSON only'),
  maxBatchSize: text('events in such a list', String(batchEventsMax)),
} as const;

/** A constant, or where it stands in the event. */
type Source = { constant: string } | { path: JsonPath; text: string };

interface Parts {
  path: Source[];
  query: { name: string; source: Source }[];
  headers: { name: string; source: Source }[];
  /** Undefined: the whole event. */
  body: { place: readonly (string | number)[]; source: Source }[] | undefined;
}

export const http = defineDestination({
  name: 'HTTP',
  deliveredBy: 'http',
  summary: 'what you make of an event, to any REST API',
  settings,
  batch: { eventsMax: batchEventsMax, bytesMax: 1024 * 1024 },
  prepare(given): Transform | string {
    const parts = readParts(given);
    if (typeof parts === 'string') return parts;
    const authorization = authorizationOf(given);
    if (typeof authorization === 'string') return authorization;
    const illegal = invalidRequest({ ...postJson(given.apiUrl), headers: authorization });
    if (illegal !== undefined) return `apiKeyName, apiKeyValue or bearerToken: ${illegal}`;
    const eventsMax = Number(given.maxBatchSize);
    if (!Number.isInteger(eventsMax) || eventsMax < 1 || eventsMax > batchEventsMax)
      return `expected maxBatchSize to be a number from 1 to ${batchEventsMax}, got ${JSON.stringify(given.maxBatchSize)}`;
    if (given.isBatchingEnabled && (given.format !== 'JSON' || !hasBody(given.method)))
      return 'isBatchingEnabled needs the format JSON and a method with a body';
    return (event) => {
      const request = requestOf(event, given, parts, authorization);
      if (typeof request === 'string') return abort(request);
      return resultOf(event, given, parts, { request, eventsMax });
    };
  },
});

function readParts({
  pathParams,
  queryParams,
  headers,
  propertiesMapping,
  isDefaultMapping,
}: SettingValues<typeof settings>): Parts | string {
  const body: Parts['body'] = [];
  for (const { to, from } of propertiesMapping) {
    const place = parsePath(to);
    if (place === undefined || !isPlace(place))
      return `propertiesMapping: expected ${JSON.stringify(to)} to be a JSONPath like $.a.b`;
    body.push({ place, source: sourceOf(from) });
  }
  const named = (list: typeof headers) => list.map(({ to, from }) => ({ name: nameOf(to), source: sourceOf(from) }));
  return {
    path: pathParams.map(({ path }) => sourceOf(path)),
    query: named(queryParams),
    headers: named(headers),
    body: isDefaultMapping || body.length === 0 ? undefined : body,
  };
}

/** Names of headers and parameters may be written as paths as well. */
function nameOf(to: string): string {
  return to.startsWith('$.') ? to.slice(2) : to;
}

function sourceOf(from: string): Source {
  const path = parsePath(from);
  return path === undefined ? { constant: from.replace(/^"(.*)"$/s, '$1') } : { path, text: from };
}

function authorizationOf(given: SettingValues<typeof settings>): Record<string, string> | string {
  switch (given.auth) {
    case 'noAuth':
      return {};
    case 'basicAuth':
      return given.username === '' ? 'username is missing' : basicAuthorization(given.username, given.password);
    case 'bearerTokenAuth':
      return given.bearerToken === '' ? 'bearerToken is missing' : { Authorization: `Bearer ${given.bearerToken}` };
    case 'apiKeyAuth':
      if (given.apiKeyName === '') return 'apiKeyName is missing';
      return given.apiKeyValue === '' ? 'apiKeyValue is missing' : { [given.apiKeyName]: given.apiKeyValue };
  }
}

function requestOf(
  event: EventObject,
  { apiUrl, method, format }: SettingValues<typeof settings>,
  parts: Parts,
  authorization: Record<string, string>,
): RequestDescriptor | string {
  const url = new URL(apiUrl);
  let path = url.pathname.replace(/\/$/, '');
  for (const source of parts.path) {
    const value = textOf(partOf(event, source));
    // A dot would be taken as the folder itself or the one above, and the request would go elsewhere.
    if (value === '' || value === '.' || value === '..')
      return `pathParams: there is no ${labelOf(source)} in the event`;
    path += `/${encodeURIComponent(value.replace(loneSurrogate, '\ufffd'))}`;
  }
  if (parts.path.length > 0) url.pathname = path;
  const headers: Record<string, string> = { ...authorization };
  for (const { name, source } of parts.headers) {
    const value = partOf(event, source);
    if (value !== undefined) headers[name] = textOf(value);
  }
  const params: Record<string, unknown> = {};
  for (const { name, source } of parts.query) {
    const value = partOf(event, source);
    if (value !== undefined && value !== null) params[name] = value;
  }
  const endpoint = parts.path.length > 0 ? url.href : apiUrl;
  const request: RequestDescriptor = { method, endpoint, headers, params, format: hasBody(method) ? format : 'NONE' };
  const problem = invalidRequest(request);
  return problem === undefined ? request : `headers: ${problem}`;
}

function resultOf(
  event: EventObject,
  { isBatchingEnabled, xmlRootKey }: SettingValues<typeof settings>,
  parts: Parts,
  { request, eventsMax }: { request: RequestDescriptor; eventsMax: number },
): TransformResult {
  if (request.format === 'NONE') return deliver(request, noBody);
  const content = parts.body === undefined ? event : mappedBody(event, parts.body);
  if (isBatchingEnabled) return batchTo(request, '[', ']', eventsMax)(content);
  if (request.format === 'XML') return deliver(request, Buffer.from(xmlOf(content, xmlRootKey)));
  if (request.format === 'FORM') return deliver(request, Buffer.from(formOf(content)));
  return deliver(request, content === event ? 'event' : Buffer.from(JSON.stringify(content)));
}

function mappedBody(event: EventObject, mapping: NonNullable<Parts['body']>): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const { place, source } of mapping) {
    const value = partOf(event, source);
    if (value !== undefined) writePath(body, place, value);
  }
  return body;
}

function formOf(content: Record<string, unknown>): string {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(content)) form.append(name, textOf(value));
  return form.toString();
}

function partOf(event: EventObject, source: Source): unknown {
  return 'constant' in source ? source.constant : readPath(event, source.path);
}

function labelOf(source: Source): string {
  return 'constant' in source ? JSON.stringify(source.constant) : source.text;
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function hasBody(method: string): boolean {
  return method !== 'GET' && method !== 'DELETE';
}
