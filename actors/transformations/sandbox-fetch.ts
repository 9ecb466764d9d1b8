// `fetch` for customers' code: through the same guard as deliveries, with a deadline and a largest answer. Redirects
// are not followed, so that there is no second address to guard.

import type { EgressGuard, OutboundResponse } from '../../transport/index.ts';
import { HttpClient } from '../../transport/index.ts';
import type { SandboxHost, SandboxResponse } from './sandbox-engine.ts';

const responseBytesMax = 1024 * 1024;
const connectionsMax = 8;
const methods = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']);

export function createSandboxFetch(guard: EgressGuard, poolKey: string, timeoutMs: number): SandboxHost['fetch'] {
  let client: HttpClient | undefined;
  return (url, optionsText) => {
    client ??= new HttpClient({ guard, connectionsMax, poolsMax: 50, responseBytesMax });
    const http = client;
    return new Promise<SandboxResponse>((resolve, reject) => {
      const target = new URL(url);
      if (!/^https?:$/.test(target.protocol)) throw new TypeError('expected an http or https URL');
      const { method, headers, body } = readOptions(optionsText);
      const request = {
        poolKey,
        origin: target.origin,
        path: `${target.pathname}${target.search}`,
        method,
        headers,
        body,
        timeoutMs,
      };
      http.send(request, (outcome) => {
        if (outcome.ok) resolve(responseOf(url, outcome.response));
        else reject(outcome.error);
      });
    });
  };
}

function readOptions(text: string): { method: string; headers: string[]; body: Uint8Array | null } {
  const options = JSON.parse(text) as { method?: unknown; headers?: unknown; body?: unknown };
  const method = typeof options.method === 'string' ? options.method.toUpperCase() : 'GET';
  if (!methods.has(method)) throw new TypeError(`expected a method of ${[...methods].join(', ')}`);
  const given = typeof options.headers === 'object' && options.headers !== null ? Object.entries(options.headers) : [];
  const body = options.body === undefined || options.body === null ? null : Buffer.from(String(options.body));
  return { method, headers: given.flatMap(([name, value]) => [name, String(value)]), body };
}

function responseOf(url: string, { status, headers, body }: OutboundResponse): SandboxResponse {
  const texts = Object.entries(headers).map(([name, value]): [string, string] => [
    name,
    [value ?? ''].flat().join(', '),
  ]);
  return { url, status, headers: Object.fromEntries(texts), body: body.toString('utf8') };
}
