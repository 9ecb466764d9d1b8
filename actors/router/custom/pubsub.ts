// GOOGLEPUBSUB: one publish request for each event, with a token that a service account signs for itself. No SDK:
// connections, deadlines and the egress guard are those of every delivery.

import { createSign } from 'node:crypto';
import { recordOf, textOf } from '../config-values.ts';
import type { DeliveryOutcome } from '../delivery.ts';
import { type CustomContext, type CustomType, misconfigured, outcomeOf, refused, succeeded } from './sender.ts';

const scope = 'https://www.googleapis.com/auth/pubsub';
const tokenUrl = 'https://oauth2.googleapis.com/token';
const publishUrl = 'https://pubsub.googleapis.com/v1';
const tokenSeconds = 3_600;
/** A token is not used this close to its end. */
const tokenMarginMs = 300_000;

interface Account {
  clientEmail: string;
  privateKey: string;
}

export const pubsubType: CustomType = {
  name: 'GOOGLEPUBSUB',
  async open({ config }, context) {
    const projectId = textOf(config.projectId);
    if (projectId === '') throw new Error('expected projectId');
    const token = new GoogleToken(accountOf(textOf(config.credentials)), context);
    return {
      async send({ message, topicId, attributes }) {
        const topic = textOf(topicId);
        if (topic === '') return outcomeOf(refused, 'expected the message to name a topic');
        const bearer = await token.current();
        if (typeof bearer !== 'string') return bearer;
        const endpoint = `${publishUrl}/projects/${encodeURIComponent(projectId)}/topics/${encodeURIComponent(topic)}:publish`;
        const data = Buffer.from(JSON.stringify(message)).toString('base64');
        const body = JSON.stringify({ messages: [{ data, attributes: recordOf(attributes) }] });
        const headers = { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/json' };
        const request = { method: 'POST', endpoint, headers, params: {}, format: 'JSON' } as const;
        const outcome = await context.http(request, Buffer.from(body));
        if (outcome.code === 401) token.forget();
        return pubsubOutcome(outcome);
      },
      close: () => Promise.resolve(),
    };
  },
};

/** Rights, names and tokens are for people to mend; only what is wrong with the message ends it. */
export function pubsubOutcome(outcome: DeliveryOutcome): DeliveryOutcome {
  const { code, response } = outcome;
  if (code >= 200 && code < 300) return { ...outcome, code: succeeded, response: '' };
  if (/RESOURCE_EXHAUSTED|rateLimitExceeded/.test(response)) return { ...outcome, code: 429 };
  return [401, 403, 404].includes(code) ? { ...outcome, code: misconfigured } : outcome;
}

/** Throws what is wrong with the key. */
function accountOf(credentials: string): Account {
  if (credentials === '') throw new Error('expected credentials: those of the machine are not looked up');
  const { client_email: email, private_key: key } = recordOf(JSON.parse(credentials));
  if (typeof email !== 'string' || typeof key !== 'string') {
    throw new Error('expected credentials to hold client_email and private_key');
  }
  return { clientEmail: email, privateKey: key };
}

/** One request for a token at a time, whoever waits for it. */
class GoogleToken {
  readonly #account: Account;
  readonly #context: CustomContext;
  #token = '';
  #endsAtMs = 0;
  #asking: Promise<string | DeliveryOutcome> | undefined;

  constructor(account: Account, context: CustomContext) {
    this.#account = account;
    this.#context = context;
  }

  /** The token, or how the request for one ended. */
  current(): Promise<string | DeliveryOutcome> {
    if (this.#context.nowMs() < this.#endsAtMs - tokenMarginMs) return Promise.resolve(this.#token);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  forget(): void {
    this.#endsAtMs = 0;
  }

  async #ask(): Promise<string | DeliveryOutcome> {
    const nowMs = this.#context.nowMs();
    const body = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: assertionOf(this.#account, Math.floor(nowMs / 1000)),
    });
    const request = { method: 'POST', endpoint: tokenUrl, headers: {}, params: {}, format: 'FORM' } as const;
    const outcome = await this.#context.http(request, Buffer.from(body.toString()));
    if (outcome.code !== succeeded) {
      const isLater = outcome.code === 429 || outcome.code >= 500;
      return { ...outcome, code: isLater ? outcome.code : misconfigured, response: `no token: ${outcome.response}` };
    }
    const { access_token: token, expires_in: seconds } = recordOf(JSON.parse(outcome.response));
    if (typeof token !== 'string') return outcomeOf(misconfigured, 'no token: the answer holds none');
    this.#token = token;
    this.#endsAtMs = nowMs + Number(seconds ?? tokenSeconds) * 1000;
    return token;
  }
}

function assertionOf({ clientEmail, privateKey }: Account, nowSeconds: number): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: clientEmail, scope, aud: tokenUrl, iat: nowSeconds, exp: nowSeconds + tokenSeconds };
  const unsigned = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${unsigned}.${createSign('RSA-SHA256').update(unsigned).sign(privateKey, 'base64url')}`;
}
