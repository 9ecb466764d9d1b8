// Puts a token into every request to a destination that needs one, and gets another when the destination refuses it.
// Stands before the plain delivery; what needs no token passes untouched. While there is a good token nothing waits.

import type { HttpClient } from '../../../transport/index.ts';
import type { DestinationConfig } from '../../services/workspace.ts';
import type { Delivery, DeliveryOutcome, DeliveryRequest } from '../delivery.ts';
import { matchRule } from '../response-rules.ts';
import { ControlPlaneTokens } from './control-plane-tokens.ts';
import { DirectTokens } from './direct-tokens.ts';
import { type OauthAccount, oauthAccountOf } from './oauth-settings.ts';
import { type Token, TokenAccount, type TokenAnswer } from './token-account.ts';

export interface OauthDeliveryOptions {
  inner: Delivery;
  accounts: OauthAccounts;
}

export interface OauthAccountsOptions {
  /** For token servers that customers name: guarded. */
  http: HttpClient;
  /** For the control plane, which operators name. */
  controlPlaneHttp: HttpClient;
  controlPlane: { url: string; token: string };
  timeoutMs: number;
  nowMs(): number;
}

const unauthorized = 401;
const notConnected = 400;
const misconfigured = 503;
const later = 500;
const accountsMax = 10_000;

/** Tokens of all accounts of a thread: several destinations may share one. */
export class OauthAccounts {
  readonly #options: OauthAccountsOptions;
  readonly #accounts = new Map<string, TokenAccount>();
  readonly #read = new WeakMap<DestinationConfig, { account: OauthAccount | string | undefined; key: string }>();

  constructor(options: OauthAccountsOptions) {
    this.#options = options;
  }

  /** Undefined: it needs no token. A text: what is wrong with its settings. */
  accountOf(destination: DestinationConfig): TokenAccount | string | undefined {
    let read = this.#read.get(destination);
    if (read === undefined) {
      const account = oauthAccountOf(destination);
      read = { account, key: JSON.stringify(account ?? null) };
      this.#read.set(destination, read);
    }
    const { account, key } = read;
    if (account === undefined || typeof account === 'string') return account;
    let known = this.#accounts.get(key);
    if (known === undefined) {
      if (this.#accounts.size >= accountsMax) this.#accounts.clear();
      known = new TokenAccount(this.#sourceOf(account), () => this.#options.nowMs());
      this.#accounts.set(key, known);
    }
    return known;
  }

  #sourceOf(account: OauthAccount) {
    const { http, controlPlaneHttp, controlPlane, timeoutMs } = this.#options;
    const nowMs = (): number => this.#options.nowMs();
    if (account.kind === 'direct') return new DirectTokens(account, { http, timeoutMs, nowMs });
    return new ControlPlaneTokens(account, { http: controlPlaneHttp, ...controlPlane, timeoutMs, nowMs });
  }
}

export class OauthDelivery implements Delivery {
  readonly #inner: Delivery;
  readonly #accounts: OauthAccounts;

  constructor({ inner, accounts }: OauthDeliveryOptions) {
    this.#inner = inner;
    this.#accounts = accounts;
  }

  send(request: DeliveryRequest, done: (outcome: DeliveryOutcome) => void): void {
    const account = request.destination === undefined ? undefined : this.#accounts.accountOf(request.destination);
    if (account === undefined || request.request.format === 'CUSTOM') {
      this.#inner.send(request, done);
      return;
    }
    if (typeof account === 'string') {
      queueMicrotask(() => done(ended(misconfigured, account)));
      return;
    }
    const { good } = account;
    if (good !== undefined) {
      this.#sendWith(good, account, request, done);
      return;
    }
    // Never rejects: a source answers with its errors.
    void account.current().then((answer) => {
      if ('token' in answer) this.#sendWith(answer.token, account, request, done);
      else done(withoutToken(answer));
    });
  }

  release(poolKey: string): void {
    this.#inner.release(poolKey);
  }

  #sendWith(
    token: Token,
    account: TokenAccount,
    given: DeliveryRequest,
    done: (outcome: DeliveryOutcome) => void,
  ): void {
    const headers = { ...given.request.headers, Authorization: `Bearer ${token.accessToken}` };
    this.#inner.send({ ...given, request: { ...given.request, headers } }, (outcome) => {
      if (!refusesToken(given, outcome)) {
        done(outcome);
        return;
      }
      void account.replace(token).then((answer) => {
        const isRenewed = 'token' in answer;
        done(
          isRenewed
            ? { ...outcome, code: later, rule: `${outcome.code}: the token was renewed` }
            : withoutToken(answer),
        );
      });
    });
  }
}

function refusesToken({ rules }: DeliveryRequest, { code, response, headers }: DeliveryOutcome): boolean {
  if (headers === undefined) return false;
  if (code === unauthorized) return true;
  return rules !== undefined && matchRule(rules, { code, text: response, headers })?.outcome === 'refreshAuth';
}

/** An account that has to be connected anew fails its events; everything else passes. */
function withoutToken(answer: Extract<TokenAnswer, { error: string }>): DeliveryOutcome {
  return ended(answer.isFinal ? notConnected : later, `no token: ${answer.error}`);
}

function ended(code: number, response: string): DeliveryOutcome {
  return { code, response, contentType: '', retryAfterMs: undefined };
}
