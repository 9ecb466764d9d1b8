// WEBHOOK: the event itself, as JSON, to an address of the customer's choice. GET has no body, so it carries the
// event's properties (the traits of an identify) as query parameters instead.

import type { RequestDescriptor } from '../job.ts';
import type { DestinationConfig } from '../services/workspace.ts';
import { arrayBatchProblem } from './array-batch.ts';
import {
  abort,
  type CompiledDestination,
  type DestinationType,
  deliver,
  type EventMetadata,
  type EventObject,
  invalidRequest,
  isHttpUrl,
  isObject,
  type SettingDoc,
  sendTo,
  type TransformResult,
} from './destination.ts';
import { fillTemplate, parseTemplate, type Template, withoutTaken } from './dynamic-config.ts';

const methods: readonly string[] = ['POST', 'PUT', 'PATCH', 'GET', 'DELETE'];
const noBody = new Uint8Array(0);
/** Levels of nesting that become query parameters; what is deeper is sent as JSON. */
const paramDepthMax = 8;

const settingDocs: readonly SettingDoc[] = [
  { key: 'webhookUrl', isRequired: true, doc: 'where events go' },
  { key: 'webhookMethod', isRequired: false, doc: `\`POST\` (default), or ${methods.slice(1).join(', ')}` },
  { key: 'headers', isRequired: false, doc: 'of every request (`[{from: name, to: value}]`)' },
  {
    key: 'batch',
    isRequired: false,
    doc: 'many events in one request, as a JSON array: `{maxEvents, maxBytes, maxAgeMs}`; not with GET',
  },
];

/** A setting as it is for every event, or the template that gives it. */
type Setting = string | Template;

interface Settings {
  method: string;
  url: Setting;
  headers: { name: Setting; value: Setting }[];
}

export const webhook: DestinationType = {
  name: 'WEBHOOK',
  deliveredBy: 'http',
  summary: 'the event itself, as JSON, to an address of yours',
  settings: settingDocs,
  compile(destination) {
    const settings = readSettings(destination);
    if (typeof settings === 'string') return { problem: settings, transform: () => abort(settings) };
    const problem = arrayBatchProblem(destination.config.batch);
    if (problem !== undefined) return { problem, transform: () => abort(problem) };
    const isStatic =
      typeof settings.url === 'string' &&
      settings.headers.every(({ name, value }) => typeof name === 'string' && typeof value === 'string');
    return isStatic ? compileStatic(settings) : { transform: (event, metadata) => fill(settings, event, metadata) };
  },
};

/** The usual case: nothing but the event changes, so the descriptor is encoded once. */
function compileStatic(settings: Settings): CompiledDestination {
  const request = describe(settings.method, String(settings.url), staticHeaders(settings));
  if (typeof request === 'string') return { problem: request, transform: () => abort(request) };
  if (settings.method === 'GET') {
    return { transform: (event) => deliver({ ...request, params: paramsOf(event) }, noBody) };
  }
  const result = sendTo(request)('event');
  return { transform: () => result };
}

function staticHeaders(settings: Settings): [string, string][] {
  return settings.headers.map(({ name, value }) => [String(name), String(value)]);
}

function fill(settings: Settings, event: EventObject, metadata: EventMetadata): TransformResult {
  const taken: Template[] = [];
  const resolve = (setting: Setting): string => {
    if (typeof setting === 'string') return setting;
    const { value, found } = fillTemplate(setting, event, metadata);
    if (found) taken.push(setting);
    return value;
  };
  const url = resolve(settings.url);
  const headers = settings.headers.map(({ name, value }): [string, string] => [resolve(name), resolve(value)]);
  const request = describe(settings.method, url, headers);
  if (typeof request === 'string') return abort(request);
  const sent = taken.length === 0 ? event : withoutTaken(event, taken);
  if (settings.method === 'GET') return deliver({ ...request, params: paramsOf(sent) }, noBody);
  return deliver(request, sent === event ? 'event' : Buffer.from(JSON.stringify(sent)));
}

/** The descriptor, or why there is none. */
function describe(
  method: string,
  endpoint: string,
  headers: readonly (readonly [string, string])[],
): RequestDescriptor | string {
  if (endpoint === '') return 'webhookUrl is missing';
  if (!isHttpUrl(endpoint)) return 'webhookUrl is not an http or https URL';
  const named = Object.fromEntries(headers.filter(([name]) => name !== ''));
  const format = method === 'GET' ? 'NONE' : 'JSON';
  const request: RequestDescriptor = { method, endpoint, headers: named, params: {}, format };
  const problem = invalidRequest(request);
  return problem === undefined ? request : `headers: ${problem}`;
}

/** The settings, or what is wrong with them. */
function readSettings({ config }: DestinationConfig): Settings | string {
  const url = typeof config.webhookUrl === 'string' ? config.webhookUrl.trim() : '';
  const givenMethod = config.webhookMethod ?? 'POST';
  const method = typeof givenMethod === 'string' && givenMethod !== '' ? givenMethod.toUpperCase() : 'POST';
  if (!methods.includes(method)) return `webhookMethod is not one of ${methods.join(', ')}`;
  const headers: Settings['headers'] = [];
  const givenHeaders = Array.isArray(config.headers) ? config.headers : [];
  for (const header of givenHeaders) {
    if (!isObject(header)) continue;
    const { from, to } = header;
    if (typeof from !== 'string' || typeof to !== 'string' || from.trim() === '') continue;
    headers.push({ name: settingOf(from.trim()), value: settingOf(to) });
  }
  return { method, url: settingOf(url), headers };
}

function settingOf(text: string): Setting {
  return parseTemplate(text) ?? text;
}

/** `{a: {b: 1}, c: [2]}` → `a.b=1&c[0]=2`. */
function paramsOf(event: EventObject): Record<string, unknown> {
  const params: Record<string, unknown> = {};
  if (event.type === 'identify') flatten(traitsOf(event), '', params, paramDepthMax);
  else flatten(event.properties, '', params, paramDepthMax);
  return params;
}

function traitsOf(event: EventObject): unknown {
  if (isObject(event.traits)) return event.traits;
  return isObject(event.context) ? event.context.traits : undefined;
}

function flatten(value: unknown, name: string, params: Record<string, unknown>, depth: number): void {
  if (value === undefined || value === null) return;
  if (typeof value !== 'object' || depth === 0) {
    if (name !== '') params[name] = value;
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    const next = Array.isArray(value) ? `${name}[${key}]` : name === '' ? key : `${name}.${key}`;
    flatten(item, next, params, depth - 1);
  }
}
