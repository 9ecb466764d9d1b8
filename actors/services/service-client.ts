// Calls of the program to services of others (control plane, transformer), as promises over the outbound HTTP client.
// These calls are few, so a promise each is fine; deliveries do not go through here. Every call has a deadline and a
// largest answer, and every failure becomes a text that is fit for status and log: no secrets, no bodies.

import { HttpClient, type OutboundResponse } from '../../transport/index.ts';

export interface ServiceCall {
  /** Default GET. */
  method?: 'GET' | 'POST';
  url: URL;
  headers?: Readonly<Record<string, string>>;
  body?: Uint8Array;
  timeoutMs: number;
}

export interface ServiceAnswer {
  status: number;
  /** '' when the answer does not have it. */
  header(name: string): string;
  body: Buffer;
}

/** `UNREACHABLE`: no answer at all. `REFUSED`: a status that is not expected. `BAD_ANSWER`: not what was asked for. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code: 'UNREACHABLE' | 'REFUSED' | 'BAD_ANSWER';
  readonly retryable: boolean;
  /** HTTP status of a refusal; 0 otherwise. */
  readonly status: number;

  constructor(code: ServiceError['code'], message: string, status = 0) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryable = code === 'UNREACHABLE' || status === 408 || status === 429 || status >= 500;
  }
}

export interface ServiceClientOptions {
  /** Who is called, as messages name it: `the control plane`. */
  name: string;
  answerBytesMax: number;
  connectionsMax?: number;
}

export class ServiceClient {
  readonly #options: ServiceClientOptions;
  readonly #http: HttpClient;

  constructor(options: ServiceClientOptions) {
    this.#options = options;
    this.#http = new HttpClient({
      connectionsMax: options.connectionsMax ?? 2,
      poolsMax: 4,
      responseBytesMax: options.answerBytesMax,
      drainBytesMax: options.answerBytesMax,
    });
  }

  /** Any status is an answer. Rejects with ServiceError UNREACHABLE, or BAD_ANSWER when it was cut or too long. */
  async call({ method = 'GET', url, headers = {}, body, timeoutMs }: ServiceCall): Promise<ServiceAnswer> {
    const response = await new Promise<OutboundResponse>((resolve, reject) => {
      const request = {
        poolKey: this.#options.name,
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: Object.entries(headers).flat(),
        body: body ?? null,
        timeoutMs,
      };
      this.#http.send(request, (outcome) => {
        if (outcome.ok) resolve(outcome.response);
        else reject(this.#unreachable(outcome.error.code, timeoutMs));
      });
    });
    if (response.truncated) {
      const { name, answerBytesMax } = this.#options;
      const expected = `a whole answer of at most ${answerBytesMax} bytes within ${timeoutMs} ms`;
      throw new ServiceError(
        'BAD_ANSWER',
        `expected of ${name} ${expected}, got ${response.body.byteLength} bytes of one`,
      );
    }
    const { status, body: bytes } = response;
    return { status, body: bytes, header: (wanted) => [response.headers[wanted] ?? ''].flat().join(', ') };
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  #unreachable(code: string, timeoutMs: number): ServiceError {
    const { name } = this.#options;
    if (code === 'HTTP_TIMEOUT')
      return new ServiceError('UNREACHABLE', `${name} did not answer within ${timeoutMs} ms`);
    if (code === 'HTTP_CONNECT_FAILED') return new ServiceError('UNREACHABLE', `${name} cannot be connected to`);
    return new ServiceError('UNREACHABLE', `the connection to ${name} was lost (${code})`);
  }
}

export function basicCredentials(user: string): string {
  return `Basic ${Buffer.from(`${user}:`).toString('base64')}`;
}
