// Shows deliveries and transformations in the control plane: those of destinations with `config.eventDelivery`, and of
// transformations with `config.eventTransform`, in small batches. What it does not take is dropped after a few tries.

import type { ActorLog, Clock, Timer } from '../../runtime/index.ts';
import { EventRing, type Watcher } from '../gateway/live-events.ts';
import { basicCredentials, type ServiceClient } from '../services/service-client.ts';
import type { DestinationConfig, WorkspaceHolder, WorkspaceIndex } from '../services/workspace.ts';
import type { LiveHub } from './live-hub.ts';

const flushMs = 2_000;
const batchMax = 32;
const ringMax = 256;
const triesMax = 3;
const tryPauseMs = 100;
const timeoutMs = 10_000;

export interface DebugUploadOptions {
  hub: LiveHub;
  workspace: WorkspaceHolder;
  client: Pick<ServiceClient, 'call'>;
  url: string;
  /** Workspace token or secret of the namespace. */
  token: string;
  clock: Clock;
  log: Pick<ActorLog, 'warn'>;
}

type Taken = [destinationId: string, payloads: string[]][];

/** What is uploaded of the one kind and of the other. */
const kinds = [
  {
    of: 'delivery',
    path: '/dataplane/v2/eventDeliveryStatus',
    isWanted: ({ config }: DestinationConfig) => config.eventDelivery === true,
    bodyOf: (taken: Taken) =>
      `{"version":"v2",${taken.map(([id, payloads]) => `${JSON.stringify(id)}:[${payloads.join(',')}]`).join(',')}}`,
  },
  {
    of: 'transformation',
    path: '/dataplane/eventTransformStatus',
    isWanted: ({ transformations = [] }: DestinationConfig) => transformations[0]?.isDebugged === true,
    bodyOf: (taken: Taken) => `{"payload":[${taken.flatMap(([, payloads]) => payloads).join(',')}]}`,
  },
] as const;

export class DebugUpload {
  readonly #options: DebugUploadOptions;
  readonly #watched = { delivery: new Map<string, Watcher>(), transformation: new Map<string, Watcher>() };
  #index: WorkspaceIndex | undefined;
  #timer: Timer | undefined;
  #sending: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: DebugUploadOptions) {
    this.#options = options;
    this.#schedule();
  }

  /** Resolves when the post under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#sending;
  }

  /** One round now; never rejects. */
  async flush(): Promise<void> {
    this.#follow();
    for (const { of, path, bodyOf } of kinds) {
      const taken: Taken = [];
      let room = batchMax;
      for (const [id, { ring }] of this.#watched[of]) {
        const { events } = ring.take(room);
        room -= events.length;
        if (events.length > 0) taken.push([id, events.map(({ payload }) => payload)]);
      }
      if (taken.length > 0) await this.#post(path, Buffer.from(bodyOf(taken)));
    }
  }

  #schedule(): void {
    this.#timer = this.#options.clock.setTimer(flushMs, () => {
      this.#sending = this.flush().finally(() => {
        if (!this.#closed) this.#schedule();
      });
    });
  }

  #follow(): void {
    const { workspace, hub } = this.#options;
    if (this.#index === workspace.current) return;
    this.#index = workspace.current;
    const destinations = workspace.current.snapshot.sources.flatMap((source) => source.destinations);
    for (const { of, isWanted } of kinds) {
      const ids = new Set(destinations.filter((one) => one.enabled && isWanted(one)).map(({ id }) => id));
      const watched = this.#watched[of];
      for (const [id, watcher] of watched) {
        if (ids.has(id)) continue;
        hub.unwatch(of, id, watcher);
        watched.delete(id);
      }
      for (const id of ids) {
        if (watched.has(id)) continue;
        const watcher: Watcher = { ring: new EventRing(ringMax), wake: () => {} };
        watched.set(id, watcher);
        hub.watch(of, id, watcher);
      }
    }
  }

  async #post(path: string, body: Buffer): Promise<void> {
    const { client, token, clock, log } = this.#options;
    const url = new URL(`${this.#options.url.replace(/\/+$/, '')}${path}`);
    const headers = { Authorization: basicCredentials(token), 'Content-Type': 'application/json' };
    let reason = '';
    for (let attempt = 1; attempt <= triesMax; attempt += 1) {
      try {
        const { status } = await client.call({ method: 'POST', url, headers, body, timeoutMs });
        if (status === 200) return;
        reason = `status ${status}`;
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
      if (attempt < triesMax) await new Promise<void>((resolve) => void clock.setTimer(tryPauseMs, resolve));
    }
    log.warn({ reason, path }, 'the control plane did not take what the debuggers saw; it is dropped');
  }
}
