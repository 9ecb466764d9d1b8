// Users whose events must not be kept: asked for every event before it is stored, answered in this process. As long as
// it is not known who is suppressed, because the store is not open or has never been filled, the answer is just that:
// what must not be kept is not let through on a guess.
//
//   opening → filling → ready     with a control plane
//   opening → ready               without: then only the admin API suppresses
//   opening → failed → opening    the store cannot be opened; tried again

import type { ActorLog, Clock, Timer } from '../../runtime/index.ts';
import type { ServiceHealth } from './service-health.ts';
import type { SuppressionStore } from './suppression-store.ts';
import type { SuppressionSync } from './suppression-sync.ts';

export type SuppressionVerdict = 'clear' | 'suppressed' | 'unknown';

export interface SuppressedUsersOptions {
  open(): Promise<SuppressionStore>;
  /** Undefined: nobody but the admin API suppresses users. */
  sync(store: SuppressionStore): SuppressionSync | undefined;
  /** Whether events pass while it is not known who is suppressed. */
  passUnknown: boolean;
  health: ServiceHealth;
  log: ActorLog;
  clock: Clock;
}

const openAgainMs = 5_000;

export class SuppressedUsers {
  readonly #options: SuppressedUsersOptions;
  #store: SuppressionStore | undefined;
  #sync: SuppressionSync | undefined;
  #isFilled = false;
  #opening: Promise<void> = Promise.resolve();
  #again: Timer | undefined;
  #closed = false;

  constructor(options: SuppressedUsersOptions) {
    this.#options = options;
  }

  /** Undefined until it is open. */
  get store(): SuppressionStore | undefined {
    return this.#store;
  }

  get isReady(): boolean {
    if (this.#store === undefined) return false;
    if (!this.#isFilled) this.#isFilled = this.#sync === undefined || this.#sync.isComplete;
    return this.#isFilled;
  }

  /** Nobody waits for it. */
  start(): void {
    this.#opening = this.#open();
  }

  /** Hot: asked for every event. */
  check(workspaceId: string, userId: string, sourceId: string): SuppressionVerdict {
    if (!this.isReady || this.#store === undefined) return this.#options.passUnknown ? 'clear' : 'unknown';
    if (userId === '') return 'clear';
    try {
      return this.#store.isSuppressed(workspaceId, userId, sourceId) ? 'suppressed' : 'clear';
    } catch (error) {
      this.#options.health.failed(`a look-up failed: ${error instanceof Error ? error.message : String(error)}`);
      return this.#options.passUnknown ? 'clear' : 'unknown';
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.cancel();
    await this.#opening;
    await this.#sync?.close();
    const store = this.#store;
    this.#store = undefined;
    await store?.close();
  }

  async #open(): Promise<void> {
    const { open, sync, health, clock, log } = this.#options;
    try {
      const store = await open();
      this.#sync = sync(store);
      this.#store = store;
      if (this.#sync === undefined) health.succeeded();
      this.#sync?.start();
      log.info({ users: store.count() }, 'suppressions are open');
    } catch (error) {
      health.failed(`the store cannot be opened: ${error instanceof Error ? error.message : String(error)}`);
      if (this.#closed) return;
      this.#again = clock.setTimer(openAgainMs, () => this.start());
    }
  }
}
