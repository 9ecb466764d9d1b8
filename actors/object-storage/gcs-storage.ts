// Google Cloud Storage, by its JSON API and a service account: a token is asked for with a signed claim and kept until
// shortly before it ends.

import { createSign } from 'node:crypto';
import { type ObjectStorage, ObjectStorageError, type StoragePlace, type StoredObject } from './contract.ts';
import { encodeStrictly, type StorageHttp } from './storage-http.ts';

type GcsPlace = Extract<StoragePlace, { provider: 'gcs' }>;

interface ServiceAccount {
  client_email: string;
  private_key: string;
  token_uri: string;
}

const vendor = 'https://storage.googleapis.com';
const scope = 'https://www.googleapis.com/auth/devstorage.read_write';
const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const tokenSeconds = 3_600;
/** A token that ends while a request is on its way is of no use. */
const tokenMarginMs = 60_000;

export class GcsStorage implements ObjectStorage {
  readonly #place: GcsPlace;
  readonly #http: StorageHttp;
  readonly #nowMs: () => number;
  readonly #account: ServiceAccount;
  readonly #origin: string;
  #token: { text: string; untilMs: number } | undefined;

  constructor(place: GcsPlace, http: StorageHttp, nowMs: () => number) {
    this.#place = place;
    this.#http = http;
    this.#nowMs = nowMs;
    this.#account = readAccount(place.credentials);
    this.#origin = place.endpoint === '' ? vendor : place.endpoint.replace(/\/+$/, '');
  }

  async put(key: string, body: Uint8Array, contentType: string): Promise<void> {
    const { bucket, prefix } = this.#place;
    const name = encodeStrictly(prefix + key);
    const path = `/upload/storage/v1/b/${encodeStrictly(bucket)}/o?uploadType=media&name=${name}`;
    const { status } = await this.#call('POST', path, body, contentType);
    if (status === 404) throw new ObjectStorageError('REFUSED', 'the object storage has no such bucket', false);
  }

  async get(key: string): Promise<Buffer | undefined> {
    const name = encodeStrictly(this.#place.prefix + key);
    const { status, body } = await this.#call('GET', `${this.#objects}/${name}?alt=media`);
    return status === 404 ? undefined : body;
  }

  async list(prefix: string, limit: number, after?: string): Promise<StoredObject[]> {
    const own = this.#place.prefix;
    // The offset is the first key that may be there, so `after` itself may come, and is left out.
    const query = [`maxResults=${limit + 1}`, `prefix=${encodeStrictly(own + prefix)}`];
    if (after !== undefined) query.push(`startOffset=${encodeStrictly(own + after)}`);
    const { body } = await this.#call('GET', `${this.#objects}?${query.join('&')}`);
    const { items = [] } = JSON.parse(body.toString()) as { items?: { name: string; size: string }[] };
    return items
      .map(({ name, size }) => ({ key: name.slice(own.length), bytes: Number(size) }))
      .filter(({ key }) => key !== after)
      .slice(0, limit);
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  get #objects(): string {
    return `/storage/v1/b/${encodeStrictly(this.#place.bucket)}/o`;
  }

  async #call(method: 'GET' | 'POST', path: string, body?: Uint8Array, contentType?: string) {
    const headers = {
      Authorization: `Bearer ${await this.#accessToken()}`,
      ...(contentType === undefined ? {} : { 'Content-Type': contentType }),
    };
    const url = new URL(`${this.#origin}${path}`);
    return await this.#http.call({ method, url, headers, ...(body === undefined ? {} : { body }) });
  }

  async #accessToken(): Promise<string> {
    const nowMs = this.#nowMs();
    if (this.#token !== undefined && this.#token.untilMs > nowMs) return this.#token.text;
    const { status, body } = await this.#http.call({
      method: 'POST',
      url: new URL(this.#account.token_uri),
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(new URLSearchParams({ grant_type: grant, assertion: this.#assertion(nowMs) }).toString()),
    });
    const answer: { access_token?: unknown; expires_in?: unknown } = status === 200 ? JSON.parse(body.toString()) : {};
    if (typeof answer.access_token !== 'string') {
      throw new ObjectStorageError('REFUSED', 'expected a token for the object storage, got none', true);
    }
    const lifeMs = Number(answer.expires_in ?? tokenSeconds) * 1_000;
    this.#token = { text: answer.access_token, untilMs: nowMs + Math.max(0, lifeMs - tokenMarginMs) };
    return answer.access_token;
  }

  #assertion(nowMs: number): string {
    const { client_email: iss, token_uri: aud, private_key: key } = this.#account;
    const iat = Math.floor(nowMs / 1_000);
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claim = `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ iss, scope, aud, iat, exp: iat + tokenSeconds })}`;
    return `${claim}.${createSign('RSA-SHA256').update(claim).sign(key, 'base64url')}`;
  }
}

function readAccount(credentials: string): ServiceAccount {
  try {
    const { client_email, private_key, token_uri } = JSON.parse(credentials) as Partial<ServiceAccount>;
    if (typeof client_email === 'string' && typeof private_key === 'string' && URL.canParse(token_uri ?? '')) {
      return { client_email, private_key, token_uri: token_uri ?? '' };
    }
  } catch {
    // Said below, without what the text holds.
  }
  throw new ObjectStorageError(
    'BAD_PLACE',
    'expected the credentials of gcs to be a service account as JSON, got another text',
    false,
  );
}
