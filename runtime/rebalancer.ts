// Watches the load of the threads and moves hot actors away from a thread that has too many of them. What to move is
// decided by rebalance.ts from what was seen over a while; how is a live move (move.ts). Off where there is no choice:
// a role with one thread, and threads with native storage.

import { textOfError } from '../transport/index.ts';
import type { ActorLog } from './actor.ts';
import { type ActorAddress, parseAddress } from './address.ts';
import { chooseMoves, type Move, type RebalanceOptions, rebalanceDefaults, type ThreadReport } from './rebalance.ts';
import type { HotActor } from './registry.ts';
import type { Clock, Timer } from './seams.ts';

/** One look at one thread. */
export interface ThreadLoad {
  threadId: number;
  role: string;
  /** Of its event loop since the last look, 0..1. */
  utilization: number;
  /** Resident actors. */
  actors: number;
  hot: readonly HotActor[];
}

export interface RebalancerOptions extends RebalanceOptions {
  /** Between two looks. */
  lookMs: number;
  /** Looks in a row that must agree before anything moves. */
  looks: number;
  movesPerMinuteMax: number;
}

export const rebalancerDefaults: Readonly<RebalancerOptions> = Object.freeze({
  ...rebalanceDefaults,
  lookMs: 1_000,
  looks: 10,
  movesPerMinuteMax: 4,
});

export interface RebalancerSetup {
  clock: Clock;
  log: ActorLog;
  options: RebalancerOptions;
  /** Looks at the threads that may give or take actors. A thread that does not answer is left out. */
  look(): Promise<readonly ThreadLoad[]>;
  /** Rejects when the actor stays where it is. */
  move(address: ActorAddress, threadId: number): Promise<void>;
}

const minuteMs = 60_000;

export class Rebalancer {
  readonly #setup: RebalancerSetup;
  /** Utilizations of the last looks, by thread. */
  readonly #seen = new Map<number, number[]>();
  /** When actors were moved within the last minute. */
  #movedMs: number[] = [];
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(setup: RebalancerSetup) {
    this.#setup = setup;
  }

  start(): void {
    if (this.#isStopped) return;
    const { clock, options, log } = this.#setup;
    this.#timer = clock.setTimer(options.lookMs, () => {
      this.#round()
        .catch((error: unknown) => log.warn({ error: textOfError(error) }, 'could not look at the load of the threads'))
        .finally(() => this.start());
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  async #round(): Promise<void> {
    const loads = await this.#setup.look();
    const moves = chooseMoves(this.#reportsOf(loads), this.#setup.options).slice(0, this.#movesLeft());
    for (const move of moves) await this.#move(move);
    // Load is seen anew after a move: what was measured before says nothing about how it is shared now.
    if (moves.length > 0) this.#seen.clear();
  }

  /** Only of threads that were seen often enough; one that was missed starts again. */
  #reportsOf(loads: readonly ThreadLoad[]): ThreadReport[] {
    const { looks } = this.#setup.options;
    const present = new Set(loads.map(({ threadId }) => threadId));
    for (const threadId of this.#seen.keys()) if (!present.has(threadId)) this.#seen.delete(threadId);
    const reports: ThreadReport[] = [];
    for (const { threadId, role, utilization, actors, hot } of loads) {
      const seen = [...(this.#seen.get(threadId) ?? []), utilization].slice(-looks);
      this.#seen.set(threadId, seen);
      if (seen.length < looks) continue;
      const utilizationMin = Math.min(...seen);
      const utilizationMax = Math.max(...seen);
      reports.push({ threadId, role, utilizationMin, utilizationMax, actors, hot });
    }
    return reports;
  }

  #movesLeft(): number {
    const nowMs = this.#setup.clock.monotonicMs();
    this.#movedMs = this.#movedMs.filter((movedMs) => nowMs - movedMs < minuteMs);
    return Math.max(0, this.#setup.options.movesPerMinuteMax - this.#movedMs.length);
  }

  async #move({ address, from, to }: Move): Promise<void> {
    const { clock, log, move } = this.#setup;
    if (this.#isStopped) return;
    // Counted before it succeeds: a move that is called off has cost its holds all the same.
    this.#movedMs.push(clock.monotonicMs());
    try {
      await move(parseAddress(address), to);
      log.info({ actor: address, from, to }, 'moved a hot actor to a cooler thread');
    } catch (error) {
      log.warn({ actor: address, from, to, error: textOfError(error) }, 'a hot actor could not be moved');
    }
  }
}
