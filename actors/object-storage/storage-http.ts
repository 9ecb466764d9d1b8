// Requests to object stores: through the same guard and with the same limits as everything that leaves us. What a store
// answers to a failure is not passed on, because it may repeat what was sent.

import { type EgressGuard, HttpClient, type OutboundResponse } from '../../transport/index.ts';
import { ObjectStorageError } from './contract.ts';

export interface StorageRequest {
  method: 'GET' | 'PUT' | 'POST';
  url: URL;
  headers: Readonly<Record<string, string>>;
  body?: Uint8Array;
}

export interface StorageHttpOptions {
  timeoutMs: number;
  /** Of tenants' own places; operators may use what is on their network. */
  guard?: EgressGuard;
}

const connectionsMax = 4;
const answerBytesMax = 256 * 1024 * 1024;

export class StorageHttp {
  readonly #client: HttpClient;
  readonly #timeoutMs: number;

  constructor({ timeoutMs, guard }: StorageHttpOptions) {
    this.#timeoutMs = timeoutMs;
    const limits = { responseBytesMax: answerBytesMax, drainBytesMax: answerBytesMax };
    this.#client = new HttpClient({ connectionsMax, ...limits, ...(guard === undefined ? {} : { guard }) });
  }

  /** The answer when it is a good one or 404; a rejection with ObjectStorageError otherwise. */
  async call({ method, url, headers, body }: StorageRequest): Promise<OutboundResponse> {
    const response = await new Promise<OutboundResponse>((resolve, reject) => {
      const request = {
        poolKey: 'object storage',
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: Object.entries(headers).flat(),
        body: body ?? null,
        timeoutMs: this.#timeoutMs,
      };
      this.#client.send(request, (outcome) => {
        if (outcome.ok) resolve(outcome.response);
        else reject(unreachable(outcome.error.code));
      });
    });
    const { status, truncated } = response;
    if (truncated) throw new ObjectStorageError('UNREACHABLE', 'the object storage did not answer to the end', true);
    if ((status >= 200 && status < 300) || status === 404) return response;
    const isLater = status === 408 || status === 429 || status >= 500;
    throw new ObjectStorageError('REFUSED', `the object storage answered ${status}`, isLater);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

function unreachable(code: string): ObjectStorageError {
  const isDenied = code === 'EGRESS_DENIED' || code === 'HTTP_INVALID_REQUEST';
  return new ObjectStorageError('UNREACHABLE', `the object storage cannot be reached (${code})`, !isDenied);
}

/** Every character that means something in a URL or a signature, slashes apart. */
export function encodeKey(key: string): string {
  return key.split('/').map(encodeStrictly).join('/');
}

export function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** The texts of the elements `name` of an XML answer; lists of objects need no more of XML than this. */
export function elementsOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, 'g'))].map((match) => match[1] ?? '');
}

export function xmlText(text: string): string {
  return text.replaceAll(/&(?:#x([0-9a-fA-F]+)|#(\d+)|(lt|gt|amp|quot|apos));/g, (_all, hex, decimal, named) => {
    if (named !== undefined) return entities[named] ?? '';
    return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16));
  });
}
