// Tokens of accounts that a control plane keeps: it is asked for the first one and for every renewal the same way, with
// the secret that is not good any more (spec/delivery.md 1.12).

import type { HttpClient, OutboundOutcome } from '../../../transport/index.ts';
import { recordOf, textOf } from '../config-values.ts';
import type { ControlPlaneAccount } from './oauth-settings.ts';
import type { Token, TokenAnswer, TokenSource } from './token-account.ts';

export interface ControlPlaneTokensOptions {
  http: HttpClient;
  /** '': there is none. */
  url: string;
  token: string;
  timeoutMs: number;
  nowMs(): number;
}

const finalError = 'ref_token_invalid_grant';

export class ControlPlaneTokens implements TokenSource {
  readonly #account: ControlPlaneAccount;
  readonly #options: ControlPlaneTokensOptions;

  constructor(account: ControlPlaneAccount, options: ControlPlaneTokensOptions) {
    this.#account = account;
    this.#options = options;
  }

  async fetch(expired: Token | undefined): Promise<TokenAnswer> {
    const { url, http, token, timeoutMs, nowMs } = this.#options;
    if (url === '') return { error: 'there is no control plane that keeps the account', isFinal: false };
    const { workspaceId, accountId } = this.#account;
    const [workspace, account] = [encodeURIComponent(workspaceId), encodeURIComponent(accountId)];
    const target = new URL(`${url.replace(/\/+$/, '')}/destination/workspaces/${workspace}/accounts/${account}/token`);
    const credentials = Buffer.from(`${token}:`).toString('base64');
    const outcome = await new Promise<OutboundOutcome>((resolve) => {
      http.send(
        {
          poolKey: 'oauth',
          origin: target.origin,
          path: target.pathname,
          method: 'POST',
          headers: ['Authorization', `Basic ${credentials}`, 'Content-Type', 'application/json'],
          body: Buffer.from(JSON.stringify({ hasExpired: true, expiredSecret: expired?.secret ?? null })),
          timeoutMs,
        },
        resolve,
      );
    });
    return outcome.ok
      ? readTokenAnswer(outcome.response.status, outcome.response.body.toString('utf8'), nowMs())
      : { error: outcome.error.code, isFinal: false };
  }
}

/** The answer of the control plane: a secret, or an error inside `body` or at the top. */
export function readTokenAnswer(status: number, text: string, nowMs: number): TokenAnswer {
  let answer: Record<string, unknown>;
  try {
    answer = recordOf(JSON.parse(text));
  } catch {
    return { error: `expected JSON of the control plane, got status ${status}`, isFinal: false };
  }
  const inner = recordOf(answer.body);
  const code = textOf(inner.code, textOf(answer.errorType, textOf(answer.code)));
  if (code !== '') {
    const message = textOf(inner.message, textOf(answer.message));
    return { error: `${code} ${message}`.trim(), isFinal: code === finalError };
  }
  const secret = recordOf(answer.secret);
  const accessToken = textOf(secret.access_token, textOf(secret.accessToken));
  if (status !== 200 || accessToken === '') {
    return { error: `expected a secret with an access token, got status ${status}`, isFinal: false };
  }
  const expiration = Date.parse(textOf(secret.expirationDate));
  return { token: { accessToken, endsAtMs: Number.isNaN(expiration) ? 0 : Math.max(expiration, nowMs), secret } };
}
