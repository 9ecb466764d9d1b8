// The token of one account: kept while it is good, renewed by one request at a time whoever waits for it, and not asked
// for over and over where that cannot help. Pure but for the asking; the caller gives the time.
//
//   good --ends soon, or a destination refused it--> renewing --answer--> good
//                                                        \--error--> failed (tried again by the next one who needs it)
//   failures in a row --> closed for a while: the last error is the answer
//   new tokens one after the other --> closed for a while: the last token is the answer (a destination that refuses
//   good tokens must not become a storm of renewals)

export interface Token {
  readonly accessToken: string;
  /** 0: it does not say. */
  readonly endsAtMs: number;
  /** As it came, for who passes it on. */
  readonly secret: Readonly<Record<string, unknown>>;
}

/** `isFinal`: the account has to be connected anew by its owner; nothing else helps. */
export type TokenAnswer = { token: Token } | { error: string; isFinal: boolean };

export interface TokenSource {
  /** `expired`: the token that is not good any more; undefined for the first. Never rejects. */
  fetch(expired: Token | undefined): Promise<TokenAnswer>;
}

export interface TokenPolicy {
  /** A token is renewed this long before it ends. */
  renewMs: number;
  failuresMax: number;
  failureRestMs: number;
  renewalsMax: number;
  renewalWindowMs: number;
  renewalRestMs: number;
}

export const tokenPolicy: TokenPolicy = {
  renewMs: 60_000,
  failuresMax: 5,
  failureRestMs: 300_000,
  renewalsMax: 5,
  renewalWindowMs: 60_000,
  renewalRestMs: 60_000,
};

export class TokenAccount {
  readonly #source: TokenSource;
  readonly #policy: TokenPolicy;
  readonly #nowMs: () => number;
  #token: Token | undefined;
  #renewing: Promise<TokenAnswer> | undefined;
  #failures = 0;
  #lastError: TokenAnswer | undefined;
  /** When tokens came, the newest last. */
  #renewedAtMs: number[] = [];
  #restsUntilMs = 0;

  constructor(source: TokenSource, nowMs: () => number, policy: TokenPolicy = tokenPolicy) {
    this.#source = source;
    this.#nowMs = nowMs;
    this.#policy = policy;
  }

  /** The token when it is there and good: the way of nearly every request. */
  get good(): Token | undefined {
    const token = this.#token;
    if (token === undefined) return undefined;
    const isGood = token.endsAtMs === 0 || this.#nowMs() < token.endsAtMs - this.#policy.renewMs;
    return isGood ? token : undefined;
  }

  /** A good token, renewed when there is none. */
  current(): Promise<TokenAnswer> {
    const { good } = this;
    return good === undefined ? this.#renew(this.#token) : Promise.resolve({ token: good });
  }

  /** A destination refused `used`: another one, unless there is one already. */
  replace(used: Token): Promise<TokenAnswer> {
    const token = this.#token;
    if (token !== undefined && token !== used) return Promise.resolve({ token });
    return this.#renew(used);
  }

  #renew(expired: Token | undefined): Promise<TokenAnswer> {
    if (this.#renewing !== undefined) return this.#renewing;
    const rested = this.#restAnswer();
    if (rested !== undefined) return Promise.resolve(rested);
    const renewing = this.#source.fetch(expired).then((answer) => {
      this.#renewing = undefined;
      this.#note(answer);
      return answer;
    });
    this.#renewing = renewing;
    return renewing;
  }

  #restAnswer(): TokenAnswer | undefined {
    if (this.#nowMs() >= this.#restsUntilMs) return undefined;
    return this.#lastError ?? (this.#token === undefined ? undefined : { token: this.#token });
  }

  #note(answer: TokenAnswer): void {
    const nowMs = this.#nowMs();
    const { failuresMax, failureRestMs, renewalsMax, renewalWindowMs, renewalRestMs } = this.#policy;
    if ('error' in answer) {
      this.#failures += 1;
      this.#lastError = answer;
      if (this.#failures >= failuresMax) this.#restsUntilMs = nowMs + failureRestMs;
      return;
    }
    this.#failures = 0;
    this.#lastError = undefined;
    this.#token = answer.token;
    this.#renewedAtMs = [...this.#renewedAtMs.filter((atMs) => atMs > nowMs - renewalWindowMs), nowMs];
    if (this.#renewedAtMs.length >= renewalsMax) this.#restsUntilMs = nowMs + renewalRestMs;
  }
}
