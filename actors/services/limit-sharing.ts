// Limits shared by several processes: what each let pass is added up in a store, and every process takes over the sum.
// One exchange at a time, everything that came up meanwhile in the next one; a store that is away costs nothing but the
// sharing: each process goes on by itself and says so in the status.

import type { Clock } from '../../runtime/index.ts';
import type { ServiceHealth } from './service-health.ts';

/** Sums up what processes let pass, on a clock of its own. */
export interface LimitStore {
  /** Adds each cost to what is owed for its key, and resolves to what is owed now, in the order of the keys. */
  charge(keys: readonly string[], costsMs: readonly number[]): Promise<number[]>;
  close(): Promise<void>;
}

export interface LimitSharingOptions {
  /** Opened with the first use, and again after a failure. */
  open(): Promise<LimitStore>;
  health: ServiceHealth;
  clock: Clock;
  /** Shortest pause between two exchanges. */
  pauseMs: number;
  /** What is owed for a key by all processes. */
  onOwed(key: string, owedMs: number): void;
}

const keysMax = 20_000;
const pauseAfterFailureMs = 1_000;

export class LimitSharing {
  readonly #options: LimitSharingOptions;
  #waiting = new Map<string, number>();
  #store: LimitStore | undefined;
  #exchange: Promise<void> | undefined;
  #closed = false;

  constructor(options: LimitSharingOptions) {
    this.#options = options;
  }

  /** Only notes it; the exchange begins by itself. */
  readonly share = (key: string, costMs: number): void => {
    const known = this.#waiting.get(key);
    // While the store is away for long the oldest cost is forgotten: it is paid off soonest.
    if (known === undefined && this.#waiting.size >= keysMax) {
      const [oldest] = this.#waiting.keys();
      if (oldest !== undefined) this.#waiting.delete(oldest);
    }
    this.#waiting.set(key, (known ?? 0) + costMs);
    this.#begin();
  };

  async close(): Promise<void> {
    this.#closed = true;
    await this.#exchange;
    await this.#store?.close();
  }

  #begin(): void {
    if (this.#exchange !== undefined || this.#closed || this.#waiting.size === 0) return;
    this.#exchange = this.#exchangeOnce();
  }

  async #exchangeOnce(): Promise<void> {
    const { health, clock, pauseMs, onOwed, open } = this.#options;
    const charges = this.#waiting;
    this.#waiting = new Map();
    let pause = pauseMs;
    try {
      this.#store ??= await open();
      const keys = [...charges.keys()];
      const owed = await this.#store.charge(keys, [...charges.values()]);
      for (const [index, key] of keys.entries()) onOwed(key, owed[index] ?? 0);
      health.succeeded();
    } catch (error) {
      health.failed(`limits are not shared: ${error instanceof Error ? error.message : String(error)}`);
      await this.#store?.close().catch(() => undefined);
      this.#store = undefined;
      pause = pauseAfterFailureMs;
    }
    clock.setTimer(pause, () => {
      this.#exchange = undefined;
      this.#begin();
    });
  }
}
