// Main's side of the operator's decisions: reads them, follows what another process changed, and gives every change to
// all threads. While the database is away the last ones stay in force.

import type { ActorLog, Clock, Random } from '../../runtime/index.ts';
import type { Postgres } from '../../transport/index.ts';
import { PollLoop } from '../services/poll-loop.ts';
import type { ServiceHealth } from '../services/service-health.ts';
import { type Controls, ControlsHolder, controlsTopic, type DrainRule } from './contract.ts';
import { addDrain, pauseDestination, readControls, removeDrain, resumeDestination } from './controls-store.ts';

/** How soon a change made through another process is noticed. */
const followMs = 5_000;

export interface DestinationControlsOptions {
  postgres: Postgres;
  health: ServiceHealth;
  clock: Clock;
  random: Random;
  log: ActorLog;
}

export class DestinationControls {
  readonly #options: DestinationControlsOptions;
  readonly #holder = new ControlsHolder();
  readonly #loop: PollLoop;
  #published = '';
  #broadcast: ((topic: string, value: unknown) => Promise<void>) | undefined;

  constructor(options: DestinationControlsOptions) {
    this.#options = options;
    const { clock, random, health } = options;
    this.#loop = new PollLoop({
      everyMs: followMs,
      clock,
      random,
      run: () => this.#refresh(),
      onError: (error) => health.failed(error instanceof Error ? error.message : String(error)),
    });
  }

  get current(): Controls {
    return this.#holder.current;
  }

  /** The decisions that the threads are started with. */
  async open(): Promise<Controls> {
    await this.#loop.now();
    return this.current;
  }

  /** From now on threads are told. What changed since `open` is sent at once. */
  async follow(broadcast: (topic: string, value: unknown) => Promise<void>): Promise<void> {
    this.#broadcast = broadcast;
    await this.#send();
  }

  close(): Promise<void> {
    return this.#loop.close();
  }

  /** Rejects while the database is away: a decision that would be forgotten is none. */
  async pause(destinationId: string, reason: string): Promise<void> {
    await pauseDestination(this.#options.postgres, destinationId, reason);
    this.#options.log.warn({ destinationId, reason }, 'a destination was paused');
    await this.#apply();
  }

  async resume(destinationId: string): Promise<boolean> {
    const wasPaused = await resumeDestination(this.#options.postgres, destinationId);
    if (wasPaused) this.#options.log.info({ destinationId }, 'a destination was resumed');
    await this.#apply();
    return wasPaused;
  }

  async drain(rule: Omit<DrainRule, 'id' | 'sinceMs'>): Promise<number> {
    const id = await addDrain(this.#options.postgres, rule);
    this.#options.log.warn({ ...rule, id }, 'pending jobs are being drained');
    await this.#apply();
    return id;
  }

  async endDrain(id: number): Promise<boolean> {
    const wasThere = await removeDrain(this.#options.postgres, id);
    await this.#apply();
    return wasThere;
  }

  /** Done when the threads have it. */
  async #apply(): Promise<void> {
    this.#publish(await readControls(this.#options.postgres));
    await this.#send();
  }

  async #refresh(): Promise<boolean> {
    if (this.#publish(await readControls(this.#options.postgres))) await this.#send();
    this.#options.health.succeeded();
    return true;
  }

  #publish(controls: Controls): boolean {
    const text = JSON.stringify(controls);
    if (text === this.#published) return false;
    this.#published = text;
    this.#holder.publish(controls);
    return true;
  }

  async #send(): Promise<void> {
    await this.#broadcast?.(controlsTopic, this.#holder.current).catch((error: unknown) => {
      this.#options.log.error({ error }, 'a thread did not take the controls; it gets them when it is replaced');
    });
  }
}
