// Azure Blob Storage, by its REST API: requests are signed with the key of the account (Shared Key), or carry a token
// (SAS).

import { createHmac } from 'node:crypto';
import { type ObjectStorage, ObjectStorageError, type StoragePlace, type StoredObject } from './contract.ts';
import { elementsOf, encodeKey, encodeStrictly, type StorageHttp, xmlText } from './storage-http.ts';

type AzurePlace = Extract<StoragePlace, { provider: 'azure' }>;

const version = '2021-08-06';

export class AzureStorage implements ObjectStorage {
  readonly #place: AzurePlace;
  readonly #http: StorageHttp;
  readonly #nowMs: () => number;
  readonly #containerUrl: string;

  constructor(place: AzurePlace, http: StorageHttp, nowMs: () => number) {
    this.#place = place;
    this.#http = http;
    this.#nowMs = nowMs;
    const { endpoint, account, bucket } = place;
    const origin = endpoint === '' ? `https://${account}.blob.core.windows.net` : endpoint.replace(/\/+$/, '');
    this.#containerUrl = `${origin}/${encodeStrictly(bucket)}`;
  }

  async put(key: string, body: Uint8Array, contentType: string): Promise<void> {
    const own = { 'x-ms-blob-type': 'BlockBlob', 'content-type': contentType };
    const { status } = await this.#call('PUT', this.#urlOf(key), own, body);
    if (status === 404) throw new ObjectStorageError('REFUSED', 'the object storage has no such container', false);
  }

  async get(key: string): Promise<Buffer | undefined> {
    const { status, body } = await this.#call('GET', this.#urlOf(key), {});
    return status === 404 ? undefined : body;
  }

  /** Azure's own pages go by a mark of its own; keys up to `after` are read again and left out. */
  async list(prefix: string, limit: number, after = ''): Promise<StoredObject[]> {
    const own = this.#place.prefix;
    const found: StoredObject[] = [];
    for (let marker = ''; ; ) {
      const marked = marker === '' ? '' : `&marker=${encodeStrictly(marker)}`;
      const query = `restype=container&comp=list&prefix=${encodeStrictly(own + prefix)}${marked}`;
      const { body } = await this.#call('GET', new URL(`${this.#containerUrl}?${query}`), {});
      const xml = body.toString();
      for (const entry of elementsOf(xml, 'Blob')) {
        const key = xmlText(elementsOf(entry, 'Name')[0] ?? '').slice(own.length);
        if (key > after) found.push({ key, bytes: Number(elementsOf(entry, 'Content-Length')[0]) });
        if (found.length >= limit) return found;
      }
      marker = xmlText(elementsOf(xml, 'NextMarker')[0] ?? '');
      if (marker === '') return found;
    }
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  #urlOf(key: string): URL {
    return new URL(`${this.#containerUrl}/${encodeKey(this.#place.prefix + key)}`);
  }

  async #call(method: 'GET' | 'PUT', url: URL, own: Record<string, string>, body?: Uint8Array) {
    const { account, accountKey, sasToken } = this.#place;
    const headers: Record<string, string> = {
      ...own,
      'x-ms-date': new Date(this.#nowMs()).toUTCString(),
      'x-ms-version': version,
    };
    if (accountKey !== '') {
      const signature = sharedKeySignature({ method, url, headers, bytes: body?.byteLength ?? 0, account, accountKey });
      headers.authorization = `SharedKey ${account}:${signature}`;
    } else for (const [name, value] of new URLSearchParams(sasToken)) url.searchParams.append(name, value);
    return await this.#http.call({ method, url, headers, ...(body === undefined ? {} : { body }) });
  }
}

interface Signed {
  method: string;
  url: URL;
  headers: Readonly<Record<string, string>>;
  bytes: number;
  account: string;
  /** Base64. */
  accountKey: string;
}

/** As in "Authorize with Shared Key": the headers that count, those of Azure in order, the resource and its query. */
function sharedKeySignature({ method, url, headers, bytes, account, accountKey }: Signed): string {
  const names = Object.keys(headers).filter((name) => name.startsWith('x-ms-'));
  const own = names.sort().map((name) => `${name}:${headers[name]}`);
  const query = [...url.searchParams].map(([name, value]) => `${name.toLowerCase()}:${value}`).sort();
  const text = [
    method,
    '',
    '',
    bytes === 0 ? '' : String(bytes),
    '',
    headers['content-type'] ?? '',
    '',
    '',
    '',
    '',
    '',
    '',
    ...own,
    `/${account}${url.pathname}`,
    ...query,
  ].join('\n');
  return createHmac('sha256', Buffer.from(accountKey, 'base64')).update(text).digest('base64');
}
