// A plain HTTP client of the gateway for tests: one request, its status, text and headers. Nothing is retried.

export interface GatewayAnswer {
  status: number;
  text: string;
  headers: Headers;
}

export interface PostOptions {
  writeKey?: string;
  headers?: Readonly<Record<string, string>>;
}

export async function post(
  url: string,
  body: string | Uint8Array | Record<string, unknown>,
  options: PostOptions = {},
): Promise<GatewayAnswer> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(options.writeKey === undefined ? {} : { authorization: basic(options.writeKey) }),
      ...options.headers,
    },
    body: isRaw ? body : JSON.stringify(body),
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

export function basic(writeKey: string): string {
  return `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`;
}

export interface TrackEvent extends Record<string, unknown> {
  type: 'track';
  event: string;
  userId: string;
  messageId: string;
  properties: { sequence: number };
}

/** `run` keeps message ids of several runs against one data folder apart. */
export function track(userId: string, sequence: number, run = 'run'): TrackEvent {
  const messageId = `${run}-${userId}-${sequence}`;
  return { type: 'track', event: 'Order Completed', userId, messageId, properties: { sequence } };
}
