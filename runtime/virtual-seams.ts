// Seams without real time: a clock that moves only when told, turns that run only when told, and seeded chance. The
// simulation drives them in an order it draws itself; the test runtime drives them in the natural order.

import type { Clock, Executor, Random, Seams, Timer } from './seams.ts';
import { seededRandom } from './seams.ts';

/** A moment with a readable date, so that logged virtual times look like times. */
const virtualEpochMs = Date.UTC(2026, 0, 1);

export interface VirtualSeams extends Seams {
  readonly clock: VirtualClock;
  readonly executor: VirtualExecutor;
}

export function virtualSeams(seed = 1): VirtualSeams {
  return { clock: new VirtualClock(), random: seededRandom(seed), executor: new VirtualExecutor() };
}

/** Clock and executor may be shared among simulated threads, each with its own random stream. */
export function seamsOf(clock: VirtualClock, executor: Executor, random: Random): Seams {
  return { clock, executor, random };
}

interface VirtualTimer extends Timer {
  dueMs: number;
  order: number;
  callback: () => void;
}

export class VirtualClock implements Clock {
  private elapsedMs = 0;
  private created = 0;
  private readonly timers = new Set<VirtualTimer>();

  nowMs(): number {
    return virtualEpochMs + Math.floor(this.elapsedMs);
  }

  monotonicMs(): number {
    return this.elapsedMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer: VirtualTimer = {
      dueMs: this.elapsedMs + Math.max(delayMs, 0),
      order: this.created,
      callback,
      cancel: () => {
        this.timers.delete(timer);
      },
    };
    this.created += 1;
    this.timers.add(timer);
    return timer;
  }

  /** Time passes without anything firing: a handler that takes long. */
  spend(ms: number): void {
    this.elapsedMs += ms;
  }

  /** When the next timer is due on `monotonicMs`; undefined when there is none. */
  nextDueMs(): number | undefined {
    return this.earliest()?.dueMs;
  }

  /** Moves to the next timer and fires it. False when there is none, or none until `limitMs`. */
  fireNext(limitMs = Number.POSITIVE_INFINITY): boolean {
    const timer = this.earliest();
    if (timer === undefined || timer.dueMs > limitMs) return false;
    this.timers.delete(timer);
    this.elapsedMs = Math.max(this.elapsedMs, timer.dueMs);
    timer.callback();
    return true;
  }

  private earliest(): VirtualTimer | undefined {
    let first: VirtualTimer | undefined;
    for (const timer of this.timers) {
      if (
        first === undefined ||
        timer.dueMs < first.dueMs ||
        (timer.dueMs === first.dueMs && timer.order < first.order)
      ) {
        first = timer;
      }
    }
    return first;
  }
}

export class VirtualExecutor implements Executor {
  private waiting: (() => void)[] = [];

  nextTurn(run: () => void): void {
    this.waiting.push(run);
  }

  get size(): number {
    return this.waiting.length;
  }

  /** Runs what waited when called; what those callbacks defer waits for the next call. */
  runTurn(): boolean {
    const due = this.waiting;
    if (due.length === 0) return false;
    this.waiting = [];
    for (const run of due) run();
    return true;
  }
}
