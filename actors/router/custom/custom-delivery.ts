// Delivery of jobs that are messages for a sender of their type: makes the sender when the first message comes, keeps it
// for as long as the destination's settings stay as they are, and lets everything else through to the plain delivery.
// A sender that cannot be made, for whatever reason, is a destination that is down: its jobs wait, the reason is shown,
// and it is made again when the breaker probes, not sooner than `reopenMs` after the last time.

import type { DestinationConfig } from '../../services/workspace.ts';
import type { Delivery, DeliveryOutcome, DeliveryRequest } from '../delivery.ts';
import {
  type CustomContext,
  type CustomMessage,
  type CustomSender,
  type CustomType,
  misconfigured,
  outcomeOf,
  refused,
} from './sender.ts';

export interface CustomDeliveryOptions {
  inner: Delivery;
  types: ReadonlyMap<string, CustomType>;
  context: Omit<CustomContext, 'http'>;
}

interface Entry {
  settings: string;
  destination: DestinationConfig;
  sender: Promise<CustomSender>;
  /** Why it could not be made, and when. */
  failure: string;
  failedAtMs: number;
}

const reopenMs = 1_000;

export class CustomDelivery implements Delivery {
  readonly #options: CustomDeliveryOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: CustomDeliveryOptions) {
    this.#options = options;
  }

  send(request: DeliveryRequest, done: (outcome: DeliveryOutcome) => void): void {
    if (request.request.format !== 'CUSTOM') {
      this.#options.inner.send(request, done);
      return;
    }
    this.#deliver(request).then(done, (error: unknown) => {
      // A fault of ours or of a client's; the job must not wait for an outcome that never comes.
      done(outcomeOf(500, `the sender failed: ${reasonOf(error)}`));
    });
  }

  release(poolKey: string): void {
    const entry = this.#entries.get(poolKey);
    this.#entries.delete(poolKey);
    if (entry !== undefined) close(entry);
    this.#options.inner.release(poolKey);
  }

  async #deliver({ poolKey, destination, body }: DeliveryRequest): Promise<DeliveryOutcome> {
    const name = destination?.destinationDefinition.name.toUpperCase() ?? '';
    const type = this.#options.types.get(name);
    if (destination === undefined || type === undefined) return outcomeOf(refused, `nothing sends to type ${name}`);
    const message = messageOf(body);
    if (message === undefined) return outcomeOf(refused, 'expected the message to be a JSON object');
    const entry = this.#entryOf(poolKey, destination, type);
    let sender: CustomSender;
    try {
      sender = await entry.sender;
    } catch {
      return outcomeOf(misconfigured, `no client can be made: ${entry.failure}`);
    }
    return await sender.send(message);
  }

  #entryOf(poolKey: string, destination: DestinationConfig, type: CustomType): Entry {
    const { context } = this.#options;
    const known = this.#entries.get(poolKey);
    const settings = known?.destination === destination ? known.settings : JSON.stringify(destination.config);
    const isFresh = known?.failure === '' || (known !== undefined && context.nowMs() - known.failedAtMs < reopenMs);
    if (known !== undefined && known.settings === settings && isFresh) return known;
    if (known !== undefined) close(known);
    const http: CustomContext['http'] = (request, body) => this.#http(poolKey, destination, { request, body });
    const sender = type.open(destination, { ...context, nowMs: () => context.nowMs(), http });
    const entry: Entry = { settings, destination, sender, failure: '', failedAtMs: 0 };
    sender.catch((error: unknown) => {
      entry.failure = reasonOf(error);
      entry.failedAtMs = context.nowMs();
    });
    this.#entries.set(poolKey, entry);
    return entry;
  }

  #http(poolKey: string, destination: DestinationConfig, { request, body }: Pick<DeliveryRequest, 'request' | 'body'>) {
    return new Promise<DeliveryOutcome>((resolve) => {
      this.#options.inner.send(
        {
          poolKey,
          destination,
          request,
          body,
          jobs: 1,
          keepsAnswer: true,
          idempotencyKey: '',
          traceparent: undefined,
          signingKeys: [],
        },
        resolve,
      );
    });
  }
}

/** Nothing waits for it: what is under way ends by itself. */
function close({ sender }: Entry): void {
  void sender.then((one) => one.close()).catch(() => undefined);
}

function messageOf(body: Uint8Array): CustomMessage | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
