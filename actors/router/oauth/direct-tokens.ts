// Tokens of an OAuth 2 server that a destination's settings name, for those who run without a control plane. The
// protocol is openid-client's; its requests leave through our guarded HTTP client.

import type { Configuration } from 'openid-client';
import type { HttpClient, OutboundResponse } from '../../../transport/index.ts';
import { recordOf } from '../config-values.ts';
import type { DirectAccount } from './oauth-settings.ts';
import type { Token, TokenAnswer, TokenSource } from './token-account.ts';

export interface DirectTokensOptions {
  http: HttpClient;
  timeoutMs: number;
  nowMs(): number;
}

/** Errors of the token endpoint (RFC 6749 5.2) after which only the owner can help. */
const finalErrors: ReadonlySet<string> = new Set(['invalid_grant', 'unauthorized_client']);

export class DirectTokens implements TokenSource {
  readonly #account: DirectAccount;
  readonly #options: DirectTokensOptions;
  #configuration: Configuration | undefined;
  /** A server may give another one with every token. */
  #refreshToken: string;

  constructor(account: DirectAccount, options: DirectTokensOptions) {
    this.#account = account;
    this.#options = options;
    this.#refreshToken = account.refreshToken;
  }

  async fetch(): Promise<TokenAnswer> {
    try {
      return { token: await this.#ask() };
    } catch (error) {
      return { error: reasonOf(error), isFinal: finalErrors.has(codeOf(error)) };
    }
  }

  async #ask(): Promise<Token> {
    const client = await import('openid-client');
    const { tokenUrl, clientId, clientSecret, parameters } = this.#account;
    if (this.#configuration === undefined) {
      const { origin } = new URL(tokenUrl);
      const configuration = new client.Configuration(
        { issuer: origin, token_endpoint: tokenUrl },
        clientId,
        clientSecret,
      );
      configuration[client.customFetch] = (url, { method, headers, body }) =>
        this.#fetch(url, { method, headers, body: bodyText(body) });
      // A server in the operator's own network may speak plain HTTP; whether it may be reached is the guard's business.
      if (tokenUrl.startsWith('http:')) client.allowInsecureRequests(configuration);
      this.#configuration = configuration;
    }
    const answer =
      this.#refreshToken === ''
        ? await client.clientCredentialsGrant(this.#configuration, parameters)
        : await client.refreshTokenGrant(this.#configuration, this.#refreshToken, parameters);
    if (answer.refresh_token !== undefined) this.#refreshToken = answer.refresh_token;
    const seconds = answer.expires_in;
    return {
      accessToken: answer.access_token,
      endsAtMs: seconds === undefined ? 0 : this.#options.nowMs() + seconds * 1000,
      secret: { ...answer },
    };
  }

  async #fetch(address: string, request: { method: string; headers: Record<string, string>; body: string }) {
    const { http, timeoutMs } = this.#options;
    const url = new URL(address);
    const response = await new Promise<OutboundResponse>((resolve, reject) => {
      http.send(
        {
          poolKey: 'oauth',
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method: request.method,
          headers: Object.entries(request.headers).flat(),
          body: Buffer.from(request.body),
          timeoutMs,
        },
        (outcome) => (outcome.ok ? resolve(outcome.response) : reject(outcome.error)),
      );
    });
    const headers = new Headers();
    for (const [name, value] of Object.entries(response.headers)) {
      if (value !== undefined) headers.set(name, String(value));
    }
    headers.delete('content-length');
    return new Response(withoutIdentity(response.body.toString('utf8')), { status: response.status, headers });
  }
}

/** Who the user is, is nobody's business here; and the server that says it often is another one than gives the token. */
function withoutIdentity(text: string): string {
  try {
    const { id_token: _identity, ...answer } = recordOf(JSON.parse(text));
    return JSON.stringify(answer);
  } catch {
    return text;
  }
}

function bodyText(body: unknown): string {
  return body instanceof URLSearchParams || typeof body === 'string' ? body.toString() : '';
}

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'error' in error ? error.error : '';
  return typeof code === 'string' ? code : '';
}

/** The server's own words where it has some; never what was sent to it. */
function reasonOf(error: unknown): string {
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  return code === '' ? text : `${code}: ${text}`;
}
