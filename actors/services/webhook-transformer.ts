// Webhook sources of other services, by way of the transformer: requests of one kind of source are collected for a few
// milliseconds and sent together. What the transformer says about one request is that request's answer alone; when it
// refuses a batch as a whole, its requests are tried one by one, so that a bad one cannot fail its neighbours.
//
// A request: waiting (collected) → sent → answered, exactly once, within the time a caller waits.

import type { Clock, Random, Timer } from '../../runtime/index.ts';
import { type ServiceAnswer, type ServiceClient, ServiceError } from './service-client.ts';
import type { ServiceHealth } from './service-health.ts';
import { type TransformerFeatures, transformerName, transformerUrl } from './transformer-features.ts';
import { outcomesOf, webhookInput } from './webhook-form.ts';
import { readContent, type WebhookOutcome, type WebhookRequest, type WebhookSources } from './webhook-sources.ts';
import type { SourceConfig } from './workspace.ts';

export interface WebhookTransformerOptions {
  client: ServiceClient;
  url: string;
  timeoutMs: number;
  features(): Pick<TransformerFeatures, 'sourceTransform'>;
  /** For sources that need no transformer. */
  builtIn: WebhookSources;
  isBuiltIn(source: SourceConfig): boolean;
  health: ServiceHealth;
  clock: Clock;
  random: Random;
}

interface Waiting {
  source: SourceConfig;
  request: WebhookRequest;
  /** The body as JSON text: a form is one already read. */
  bodyText: string;
  done(outcome: WebhookOutcome): void;
}

interface Collected {
  requests: Waiting[];
  timer: Timer;
}

const batchRequestsMax = 32;
const collectMs = 20;
/** Requests that are waited for at once; beyond: 503. */
const waitingMax = 2_000;
const retriesMax = 5;
const retryMsMin = 100;
const retryMsMax = 1_000;
const retryGrowth = 1.5;
const retryWindowMs = 10_000;
/** Sources whose services send their events by GET. */
const getDefinitions: ReadonlySet<string> = new Set(['adjust']);

const refused = (status: number, text: string): WebhookOutcome => ({ kind: 'refused', status, text });
const unavailable = refused(503, 'service unavailable');

export class WebhookTransformer implements WebhookSources {
  readonly #options: WebhookTransformerOptions;
  readonly #collected = new Map<string, Collected>();
  #waiting = 0;

  constructor(options: WebhookTransformerOptions) {
    this.#options = options;
  }

  acceptsGet(source: SourceConfig): boolean {
    const { builtIn, isBuiltIn } = this.#options;
    return isBuiltIn(source) ? builtIn.acceptsGet(source) : getDefinitions.has(definitionOf(source));
  }

  transform(source: SourceConfig, request: WebhookRequest, done: (outcome: WebhookOutcome) => void): void {
    const { builtIn, isBuiltIn } = this.#options;
    if (isBuiltIn(source)) {
      builtIn.transform(source, request, done);
      return;
    }
    if (this.#waiting >= waitingMax) {
      done(unavailable);
      return;
    }
    this.#waiting += 1;
    const finished = (outcome: WebhookOutcome): void => {
      this.#waiting -= 1;
      done(outcome);
    };
    readContent(request).then(
      (content) => {
        if (content.kind === 'invalidJson') finished(refused(400, 'invalid json'));
        else if (content.kind === 'noBody') finished(refused(400, 'request body is nil'));
        else this.#collect({ source, request, bodyText: bodyTextOf(request, content.value), done: finished });
      },
      () => finished(refused(400, 'error during parsing multiform')),
    );
  }

  #collect(waiting: Waiting): void {
    const name = definitionOf(waiting.source);
    const collected = this.#collected.get(name) ?? this.#begin(name);
    collected.requests.push(waiting);
    if (collected.requests.length >= batchRequestsMax) this.#flush(name);
  }

  #begin(name: string): Collected {
    const timer = this.#options.clock.setTimer(collectMs, () => this.#flush(name));
    const collected: Collected = { requests: [], timer };
    this.#collected.set(name, collected);
    return collected;
  }

  #flush(name: string): void {
    const collected = this.#collected.get(name);
    if (collected === undefined) return;
    this.#collected.delete(name);
    collected.timer.cancel();
    // Cannot reject: every failure is an outcome.
    void this.#send(name, collected.requests);
  }

  async #send(name: string, requests: readonly Waiting[]): Promise<void> {
    let outcomes: WebhookOutcome[];
    try {
      const answer = await this.#call(name, requests);
      if (answer.status !== 200 && requests.length > 1) {
        await Promise.all(requests.map((request) => this.#send(name, [request])));
        return;
      }
      outcomes = outcomesOf(answer, requests.length);
      this.#options.health.succeeded();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#options.health.failed(text);
      const isGone = !(error instanceof ServiceError) || error.retryable;
      outcomes = requests.map(() =>
        isGone ? unavailable : refused(500, 'invalid format of source transformer response'),
      );
    }
    for (const [index, request] of requests.entries()) request.done(outcomes[index] ?? unavailable);
  }

  /** Rejects with ServiceError when there was no usable answer in time. */
  async #call(name: string, requests: readonly Waiting[]): Promise<ServiceAnswer> {
    const { client, url, timeoutMs, clock, features } = this.#options;
    const version = features().sourceTransform;
    const input = requests.map(({ source, request, bodyText }) => webhookInput(version, source, request, bodyText));
    const call = {
      method: 'POST' as const,
      url: transformerUrl(url, `/${version}/sources/${encodeURIComponent(name)}`),
      headers: { 'Content-Type': 'application/json; charset=utf-8' },
      body: Buffer.from(JSON.stringify(input)),
      timeoutMs,
    };
    const startedMs = clock.monotonicMs();
    for (let retries = 0; ; retries += 1) {
      const error = await client.call(call).then(usable, (failure: unknown) => failure);
      if (!(error instanceof Error)) return error as ServiceAnswer;
      const pauseMs = this.#pauseMs(retries);
      const isLate = clock.monotonicMs() - startedMs + pauseMs > retryWindowMs;
      if (!(error instanceof ServiceError) || !error.retryable || retries >= retriesMax || isLate) throw error;
      await new Promise<void>((settle) => void clock.setTimer(pauseMs, settle));
    }
  }

  #pauseMs(retries: number): number {
    const grown = Math.min(retryMsMin * retryGrowth ** retries, retryMsMax);
    return grown * (0.5 + 0.5 * this.#options.random.next());
  }
}

/** An answer of the transformer itself, or the error that it is none. */
function usable(answer: ServiceAnswer): ServiceAnswer | ServiceError {
  const { status } = answer;
  if (status === 408 || status === 429 || status >= 500) {
    return new ServiceError('REFUSED', `expected of ${transformerName} status 200, got ${status}`, status);
  }
  if (status === 200 && answer.header('apiversion') !== '2') {
    return new ServiceError('BAD_ANSWER', `expected ${transformerName} to answer with apiVersion 2`);
  }
  return answer;
}

function definitionOf(source: SourceConfig): string {
  return source.sourceDefinition.name.toLowerCase();
}

/** JSON as it came; a form, and the query of a GET, as the JSON of its fields. */
function bodyTextOf({ method, headers, body }: WebhookRequest, value: unknown): string {
  if (method === 'GET') return '';
  const isForm = /^(application\/x-www-form-urlencoded|multipart\/form-data)\b/i.test(headers['content-type'] ?? '');
  return isForm ? JSON.stringify(value) : body.toString();
}
