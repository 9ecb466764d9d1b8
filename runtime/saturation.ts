// Finds the actor that alone uses most of its thread. Moving it to another thread would only move the trouble, so the
// rebalancer leaves it where it is; the operator must split its partition, and is told so.

import type { ActorLog } from './actor.ts';
import type { HotActor } from './registry.ts';
import type { Clock } from './seams.ts';

/** What of one second of thread time is too much for one actor: the same from which on it is not moved any more. */
export const saturatedFrom = 0.8;
/** Sweeps in a row, so seconds: a burst is no reason to split anything. */
export const saturatedSweeps = 10;
/** Between two warnings of a thread. */
export const warnAgainMs = 300_000;

export interface Saturation {
  /** Printed address. */
  actor: string;
  /** Of the thread's time, 0 to 1. */
  share: number;
  /** What its definition says to do about it. */
  remedy: string;
}

export interface SaturationOptions {
  clock: Clock;
  log: ActorLog;
  remedyOf(actor: string): string;
}

export class SaturationWatch {
  readonly #options: SaturationOptions;
  #actor = '';
  #sweeps = 0;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #current: Saturation | undefined;

  constructor(options: SaturationOptions) {
    this.#options = options;
  }

  /** Undefined while no actor has the thread for itself. */
  get current(): Saturation | undefined {
    return this.#current;
  }

  /** After each sweep, with the busiest actor of it. */
  look(busiest: HotActor | undefined): void {
    const share = (busiest?.busyMs ?? 0) / 1000;
    if (busiest === undefined || share < saturatedFrom) {
      this.#actor = '';
      this.#sweeps = 0;
      this.#current = undefined;
      return;
    }
    this.#sweeps = busiest.address === this.#actor ? this.#sweeps + 1 : 1;
    this.#actor = busiest.address;
    this.#current = undefined;
    if (this.#sweeps < saturatedSweeps) return;
    const remedy = this.#options.remedyOf(this.#actor);
    this.#current = { actor: this.#actor, share: Math.min(1, share), remedy };
    this.#warn(this.#current);
  }

  #warn({ actor, share, remedy }: Saturation): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#warnedMs < warnAgainMs) return;
    this.#warnedMs = nowMs;
    log.warn(
      { actor, share: Math.round(share * 100) / 100, seconds: this.#sweeps, remedy },
      'one actor uses its thread nearly alone; moving it would not help',
    );
  }
}
