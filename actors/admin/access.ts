// Who may use the admin server. Without a token it listens on this machine only, and what must be kept out are web
// pages: one could point a name of its own at this machine (told by the Host header) or post a form at it (told by
// Origin). With a token everybody needs it, as a bearer token or as the password of HTTP Basic, so that a browser can ask
// its user for it; only the two health checks are open, because those who ask them have no place for secrets.

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface Refusal {
  status: number;
  error: string;
  headers?: Readonly<Record<string, string>>;
}

const openPaths: ReadonlySet<string> = new Set(['/livez', '/readyz']);

/** Undefined when the request is welcome. `token` '': none is asked for. */
export function refuseAccess(request: IncomingMessage, path: string, token: string): Refusal | undefined {
  const { host, origin, authorization } = request.headers;
  if (token === '' && !isLoopbackName(host)) {
    return { status: 421, error: 'expected the host of the request to be this machine (localhost or 127.0.0.1)' };
  }
  if (request.method !== 'GET' && request.method !== 'HEAD' && origin !== undefined && !isOwnOrigin(origin, host)) {
    return { status: 403, error: 'expected a request of this server itself, not of a page of another origin' };
  }
  if (token === '' || openPaths.has(path) || isSecret(credentialsOf(authorization ?? ''), token)) return undefined;
  return {
    status: 401,
    error: 'expected the admin token (admin.token) as "Authorization: Bearer <token>" or as a Basic password',
    headers: { 'WWW-Authenticate': 'Basic realm="Sluice admin"' },
  };
}

/** The bearer token or Basic password of an Authorization header; '' when it holds neither. */
export function credentialsOf(authorization: string): string {
  const [, scheme = '', value = ''] = /^(bearer|basic) +(\S+)$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'bearer') return value;
  const decoded = Buffer.from(value, 'base64').toString();
  return decoded.slice(decoded.indexOf(':') + 1);
}

/** Compares by digest, so that the time it takes says nothing about either text. */
export function isSecret(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

function isOwnOrigin(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host;
}

function isLoopbackName(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i.test(host);
}
