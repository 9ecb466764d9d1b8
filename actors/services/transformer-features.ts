// What the transformer is able to do, asked of it again and again. Nothing waits for it: until it answers, and while it
// is away, its usual abilities are assumed or those it last told of.

import type { Clock, Random } from '../../runtime/index.ts';
import { PollLoop } from './poll-loop.ts';
import { type ServiceClient, ServiceError } from './service-client.ts';
import type { ServiceHealth } from './service-health.ts';

export const transformerName = 'the transformer';

export interface TransformerFeatures {
  /** Version of the form in which webhook sources are sent to it. */
  sourceTransform: 'v1' | 'v2';
  /** Types, upper case, whose events it makes into requests when they are delivered. */
  routerTransform: ReadonlySet<string>;
  /** It takes the configuration of a destination once per request instead of once per event. */
  compacted: boolean;
  /** Of the form in which it delivers. */
  proxyVersion: 'v0' | 'v1';
}

export interface TransformerFeaturesOptions {
  client: ServiceClient;
  url: string;
  pollMs: number;
  timeoutMs: number;
  health: ServiceHealth;
  clock: Clock;
  random: Random;
}

/** Of a transformer that does not know the question (404), or has not been asked yet. */
export const usualFeatures: TransformerFeatures = {
  sourceTransform: 'v2',
  routerTransform: new Set(),
  compacted: false,
  proxyVersion: 'v0',
};

export class TransformerFeaturesPoll {
  readonly #options: TransformerFeaturesOptions;
  readonly #loop: PollLoop;
  #current = usualFeatures;

  constructor(options: TransformerFeaturesOptions) {
    this.#options = options;
    const { clock, random, health } = options;
    this.#loop = new PollLoop({
      everyMs: options.pollMs,
      clock,
      random,
      run: () => this.#ask(),
      onError: (error) => health.failed(error instanceof Error ? error.message : String(error)),
    });
  }

  get current(): TransformerFeatures {
    return this.#current;
  }

  start(): void {
    this.#loop.start();
  }

  /** One round now. Resolves to whether it succeeded. */
  now(): Promise<boolean> {
    return this.#loop.now();
  }

  close(): Promise<void> {
    return this.#loop.close();
  }

  async #ask(): Promise<boolean> {
    const { client, url, timeoutMs, health } = this.#options;
    try {
      const { status, body } = await client.call({ url: transformerUrl(url, '/features'), timeoutMs });
      if (status === 404) this.#current = usualFeatures;
      else if (status === 200) this.#current = readFeatures(body);
      else throw new ServiceError('REFUSED', `expected of ${transformerName} status 200, got ${status}`, status);
      health.succeeded();
      return true;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      health.failed(error.message);
      return false;
    }
  }
}

/** `path` below the transformer's address, which may have a path of its own. */
export function transformerUrl(url: string, path: string): URL {
  return new URL(`${url.replace(/\/+$/, '')}${path}`);
}

export function readFeatures(body: Buffer): TransformerFeatures {
  let content: unknown;
  try {
    content = JSON.parse(body.toString());
  } catch {
    content = undefined;
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new ServiceError('BAD_ANSWER', `expected of ${transformerName} a table of features, got something else`);
  }
  const has = (name: string): boolean => Reflect.get(content, name) === true;
  const onlyOld = has('supportSourceTransformV1') && !has('upgradedToSourceTransformV2');
  const atRouter: unknown = Reflect.get(content, 'routerTransform');
  const types = typeof atRouter === 'object' && atRouter !== null ? Object.entries(atRouter) : [];
  return {
    sourceTransform: onlyOld ? 'v1' : 'v2',
    routerTransform: new Set(types.flatMap(([type, has]) => (has === true ? [type.toUpperCase()] : []))),
    compacted: has('supportDestTransformCompactedPayloadV1'),
    proxyVersion: has('supportTransformerProxyV1') ? 'v1' : 'v0',
  };
}
