// Object storage that speaks S3: Amazon's and everything that is like it. Requests are signed by aws4fetch, with the hash
// of their body.

import { createHash } from 'node:crypto';
import { AwsV4Signer } from 'aws4fetch';
import type { ObjectStorage, StoragePlace, StoredObject } from './contract.ts';
import { elementsOf, encodeKey, encodeStrictly, type StorageHttp, xmlText } from './storage-http.ts';

type S3Place = Extract<StoragePlace, { provider: 's3' }>;

export class S3Storage implements ObjectStorage {
  readonly #place: S3Place;
  readonly #http: StorageHttp;
  readonly #nowMs: () => number;
  readonly #bucketUrl: string;

  constructor(place: S3Place, http: StorageHttp, nowMs: () => number) {
    this.#place = place;
    this.#http = http;
    this.#nowMs = nowMs;
    // Servers of other vendors know buckets by the path; Amazon's by the name of the host, unless it has dots.
    const bucket = encodeStrictly(place.bucket);
    const own = `https://s3.${place.region}.amazonaws.com`;
    if (place.endpoint !== '') this.#bucketUrl = `${place.endpoint.replace(/\/+$/, '')}/${bucket}`;
    else if (place.bucket.includes('.')) this.#bucketUrl = `${own}/${bucket}`;
    else this.#bucketUrl = `https://${bucket}.s3.${place.region}.amazonaws.com`;
  }

  async put(key: string, body: Uint8Array, contentType: string): Promise<void> {
    await this.#call('PUT', this.#urlOf(key), body, { 'Content-Type': contentType });
  }

  async get(key: string): Promise<Buffer | undefined> {
    const { status, body } = await this.#call('GET', this.#urlOf(key));
    return status === 404 ? undefined : body;
  }

  async list(prefix: string, limit: number, after?: string): Promise<StoredObject[]> {
    const own = this.#place.prefix;
    const query = ['list-type=2', `max-keys=${limit}`, `prefix=${encodeStrictly(own + prefix)}`];
    if (after !== undefined) query.push(`start-after=${encodeStrictly(own + after)}`);
    const { body } = await this.#call('GET', new URL(`${this.#bucketUrl}/?${query.join('&')}`));
    return elementsOf(body.toString(), 'Contents').map((entry) => ({
      key: xmlText(elementsOf(entry, 'Key')[0] ?? '').slice(own.length),
      bytes: Number(elementsOf(entry, 'Size')[0]),
    }));
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  #urlOf(key: string): URL {
    return new URL(`${this.#bucketUrl}/${encodeKey(this.#place.prefix + key)}`);
  }

  async #call(method: 'GET' | 'PUT', url: URL, body?: Uint8Array, headers: Record<string, string> = {}) {
    const { region, accessKeyId, secretAccessKey, sessionToken } = this.#place;
    const hash = createHash('sha256')
      .update(body ?? '')
      .digest('hex');
    const signer = new AwsV4Signer({
      method,
      url: url.href,
      headers: { ...headers, 'X-Amz-Content-Sha256': hash },
      service: 's3',
      region,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === '' ? {} : { sessionToken }),
      datetime: new Date(this.#nowMs()).toISOString().replaceAll(/[:-]|\.\d{3}/g, ''),
    });
    const signed = await signer.sign();
    const all = Object.fromEntries(signed.headers);
    return await this.#http.call({ method, url: signed.url, headers: all, ...(body === undefined ? {} : { body }) });
  }
}
