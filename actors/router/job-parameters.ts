// Reads the parameters of a router's job. Our own processor wrote them, but a transformer may have made the request in
// them, and rows outlive versions: each field is checked, and what is wrong is said by its name. The request comes last
// in the text and is mostly the same for all jobs of a destination, so it is decoded once for each different one.

import { type RequestDescriptor, type RouterParameters, requestFormats } from '../job.ts';

/** All parameters but the request. */
export type JobParameters = Omit<RouterParameters, 'request'>;

export type RequestReading = { request: RequestDescriptor; problem: '' } | { request: undefined; problem: string };

const requestMark = ',"request":';
const unread: RequestReading = { request: undefined, problem: 'job parameters cannot be read' };
/** Different requests of one destination that are remembered. */
const requestsMax = 64;

export interface ParametersReading {
  /** Undefined: they cannot be read. */
  parameters: JobParameters | undefined;
  request: RequestReading;
}

/** One for each lane: the requests it remembers are those of its destination. */
export class RequestCache {
  readonly #requests = new Map<string, RequestReading>();

  read(requestText: string): RequestReading {
    let reading = this.#requests.get(requestText);
    if (reading === undefined) {
      if (this.#requests.size >= requestsMax) this.#requests.clear();
      reading = decodeRequest(parsed(requestText));
      this.#requests.set(requestText, reading);
    }
    return reading;
  }
}

/** `cacheOf`: that of the destination's lane. */
export function readParameters(text: string, cacheOf: (destinationId: string) => RequestCache): ParametersReading {
  // Inside a JSON text quotes are escaped, so the mark cannot be part of a value before it.
  const at = text.indexOf(requestMark);
  const parameters = at < 0 || !text.endsWith('}}') ? undefined : parametersOf(parsed(`${text.slice(0, at)}}`));
  if (parameters !== undefined) {
    const request = cacheOf(parameters.destination_id).read(text.slice(at + requestMark.length, -1));
    if (request.request !== undefined) return { parameters, request };
  }
  // Not as our processor writes it today: the slow way tells what is wrong.
  const value = parsed(text);
  const whole = parametersOf(value);
  if (whole === undefined || !isRecord(value)) return { parameters: undefined, request: unread };
  return { parameters: whole, request: decodeRequest(value.request) };
}

function parametersOf(value: unknown): JobParameters | undefined {
  if (!isRecord(value)) return undefined;
  const { destination_id, source_id, workspace_id } = value;
  if (typeof destination_id !== 'string' || typeof source_id !== 'string') return undefined;
  return { ...value, destination_id, source_id, workspace_id: typeof workspace_id === 'string' ? workspace_id : '' };
}

/** What rows leave out is what destinations/destination.ts says. Strict: a request that is not what we think it is must not be sent as something else. */
export function decodeRequest(value: unknown): RequestReading {
  if (!isRecord(value)) return wrong('the request', 'an object', value);
  const { method = 'POST', endpoint, headers = {}, params = {}, format = 'JSON', batch } = value;
  if (typeof method !== 'string' || !/^[A-Za-z]{1,20}$/.test(method)) return wrong('method', 'an HTTP method', method);
  if (typeof endpoint !== 'string') return wrong('endpoint', 'a text', endpoint);
  if (!isRecord(headers)) return wrong('headers', 'an object of texts', headers);
  const texts: Record<string, string> = {};
  for (const [name, header] of Object.entries(headers)) {
    if (typeof header !== 'string') return wrong(`headers.${name}`, 'a text', header);
    texts[name] = header;
  }
  if (!isRecord(params)) return wrong('params', 'an object', params);
  const known = requestFormats.find((one) => one === format);
  if (known === undefined) return wrong('format', `one of ${requestFormats.join(', ')}`, format);
  const request = { method, endpoint, headers: texts, params, format: known };
  if (batch === undefined) return { request, problem: '' };
  const shape = batchShapeOf(batch);
  return shape === undefined
    ? wrong('batch', 'a shape', batch)
    : { request: { ...request, batch: shape }, problem: '' };
}

function batchShapeOf(value: unknown): RequestDescriptor['batch'] | undefined {
  if (!isRecord(value)) return undefined;
  const { open, close, eventsMax } = value;
  if (!isCount(open) || !isCount(close)) return undefined;
  return isCount(eventsMax) ? { open, close, eventsMax } : { open, close };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function wrong(field: string, expected: string, got: unknown): RequestReading {
  const shown = typeof got === 'string' ? JSON.stringify(got.slice(0, 40)) : got === null ? 'null' : typeof got;
  return { request: undefined, problem: `request: expected ${field} to be ${expected}, got ${shown}` };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
