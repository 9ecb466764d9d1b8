// Shows live events in the control plane: those of sources whose `config.eventUpload` is true are posted to it in small
// batches, at most one at a time. What it does not take is dropped after a few tries; nobody waits for it.

import type { ActorLog, Clock, Timer } from '../../runtime/index.ts';
import { basicCredentials, type ServiceClient } from '../services/service-client.ts';
import type { SourceConfig, WorkspaceHolder, WorkspaceIndex } from '../services/workspace.ts';
import { EventRing, type LiveEvent, type LiveEvents, type Watcher } from './live-events.ts';

const flushMs = 2_000;
const batchMax = 32;
const ringMax = 256;
const triesMax = 3;
const tryPauseMs = 100;
const timeoutMs = 10_000;

export interface LiveUploadOptions {
  live: LiveEvents;
  workspace: WorkspaceHolder;
  client: Pick<ServiceClient, 'call'>;
  url: string;
  /** Workspace token or secret of the namespace. */
  token: string;
  clock: Clock;
  log: Pick<ActorLog, 'warn'>;
}

interface Watched {
  source: SourceConfig;
  watcher: Watcher;
}

export class LiveUpload {
  readonly #options: LiveUploadOptions;
  readonly #target: URL;
  readonly #watched = new Map<string, Watched>();
  #index: WorkspaceIndex | undefined;
  #timer: Timer | undefined;
  #sending: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: LiveUploadOptions) {
    this.#options = options;
    this.#target = new URL(`${options.url.replace(/\/+$/, '')}/dataplane/v2/eventUploads`);
    this.#schedule();
  }

  /** Resolves when the post under way has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#sending;
  }

  #schedule(): void {
    this.#timer = this.#options.clock.setTimer(flushMs, () => {
      this.#sending = this.#flush().finally(() => {
        if (!this.#closed) this.#schedule();
      });
    });
  }

  async #flush(): Promise<void> {
    this.#follow();
    const taken: [string, LiveEvent[]][] = [];
    let room = batchMax;
    for (const { source, watcher } of this.#watched.values()) {
      const { events } = watcher.ring.take(room);
      room -= events.length;
      if (events.length > 0) taken.push([source.writeKey, events]);
    }
    if (taken.length > 0) await this.#post(uploadOf(taken));
  }

  /** Watches the sources that ask for it now. */
  #follow(): void {
    const { workspace, live } = this.#options;
    if (this.#index === workspace.current) return;
    this.#index = workspace.current;
    const wanted = workspace.current.snapshot.sources.filter(
      ({ enabled, config, transient }) => enabled && config.eventUpload === true && transient !== true,
    );
    const ids = new Set(wanted.map(({ id }) => id));
    for (const [id, { watcher }] of this.#watched) {
      if (ids.has(id)) continue;
      live.unwatch(id, watcher);
      this.#watched.delete(id);
    }
    for (const source of wanted) {
      const watcher = this.#watched.get(source.id)?.watcher ?? { ring: new EventRing(ringMax), wake: () => {} };
      this.#watched.set(source.id, { source, watcher });
      live.watch(source.id, watcher);
    }
  }

  /** Never rejects. */
  async #post(body: Buffer): Promise<void> {
    const { client, token, clock, log } = this.#options;
    const headers = { Authorization: basicCredentials(token), 'Content-Type': 'application/json' };
    let reason = '';
    for (let attempt = 1; attempt <= triesMax; attempt += 1) {
      try {
        const { status } = await client.call({ method: 'POST', url: this.#target, headers, body, timeoutMs });
        if (status === 200) return;
        reason = `status ${status}`;
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
      if (attempt < triesMax) await new Promise<void>((resolve) => void clock.setTimer(tryPauseMs, resolve));
    }
    log.warn({ reason }, 'the control plane did not take live events; they are dropped');
  }
}

/** The reference's shape. Payloads are JSON already and go in as they are. */
function uploadOf(taken: readonly [writeKey: string, events: readonly LiveEvent[]][]): Buffer {
  const keys = taken.map(([writeKey, events]) => {
    const items = events.map(({ receivedAtMs, payload }) => {
      const { event, type } = JSON.parse(payload) as { event?: unknown; type?: unknown };
      const about = {
        receivedAt: new Date(receivedAtMs).toISOString(),
        eventName: typeof event === 'string' ? event : '',
        eventType: typeof type === 'string' ? type : '',
        errorResponse: {},
        errorCode: 200,
      };
      return `{"payload":${payload},${JSON.stringify(about).slice(1)}`;
    });
    return `${JSON.stringify(writeKey)}:[${items.join(',')}]`;
  });
  return Buffer.from(`{"version":"v2",${keys.join(',')}}`);
}
