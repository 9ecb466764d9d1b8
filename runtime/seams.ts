// The only door to time and chance. Everything in the runtime that waits, defers or draws a random number does it
// through these three interfaces, so that a simulation can put a seed behind them (see virtual-seams.ts).

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch: for deadlines and whatever people read. */
  nowMs(): number;
  /** Milliseconds since some fixed moment, never going back: for measuring and waiting. */
  monotonicMs(): number;
  /** Calls back once. A timer never keeps the process alive: ports and sockets do. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform whole number in [0, max). */
  integer(max: number): number;
}

export interface Executor {
  /** Runs the callback in the next turn of the loop, after ports, sockets and timers had theirs. */
  nextTurn(run: () => void): void;
}

export interface Seams {
  readonly clock: Clock;
  readonly random: Random;
  readonly executor: Executor;
}

/** Longest delay Node's timers take; beyond it they fire at once. */
const timerMsMax = 2 ** 31 - 1;

export function realSeams(): Seams {
  return { clock: new SystemClock(), random: new SystemRandom(), executor: new SystemExecutor() };
}

/** A small generator (mulberry32) with a full period of 2^32: not for secrets, the same on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { next, integer: (max) => Math.floor(next() * max) };
}

/** Resolves after one real turn of the loop: every promise that could go on has gone on. */
export function realTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

class SystemClock implements Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, Math.min(Math.max(delayMs, 0), timerMsMax));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  }
}

class SystemRandom implements Random {
  next(): number {
    return Math.random();
  }

  integer(max: number): number {
    return Math.floor(Math.random() * max);
  }
}

class SystemExecutor implements Executor {
  nextTurn(run: () => void): void {
    setImmediate(run);
  }
}
