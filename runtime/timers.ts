// Every wait of a thread (asks, schedules, backoff, parking) in one binary heap behind one timer of the clock: a
// hundred thousand pending asks cost the event loop nothing. An entry knows its place, so removing it is cheap.

import type { Clock, Timer } from './seams.ts';

/** Implemented by whatever waits, so that a wait allocates nothing beside its owner. */
export abstract class Wait {
  /** On the monotonic clock. */
  dueMs = 0;
  /** Place in the heap, -1 outside; maintained by `Timers`. */
  place = -1;
  /** Order of insertion, so that waits due together end in the order they began. */
  order = 0;

  abstract expire(): void;
}

/** A wait that calls a function. */
export class CallbackWait extends Wait {
  private readonly callback: () => void;

  constructor(callback: () => void) {
    super();
    this.callback = callback;
  }

  override expire(): void {
    this.callback();
  }
}

export class Timers {
  private readonly clock: Clock;
  private readonly heap: Wait[] = [];
  private armed: Timer | undefined;
  private armedForMs = Number.POSITIVE_INFINITY;
  private inserted = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get size(): number {
    return this.heap.length;
  }

  add(wait: Wait, delayMs: number): void {
    if (wait.place >= 0) this.remove(wait);
    wait.dueMs = this.clock.monotonicMs() + Math.max(delayMs, 0);
    wait.order = this.inserted;
    this.inserted += 1;
    this.heap.push(wait);
    this.rise(this.heap.length - 1, wait);
    if (wait.dueMs < this.armedForMs) this.arm(wait.dueMs);
  }

  /** Removing leaves the clock's timer armed: it finds nothing due and arms itself for the next one. */
  remove(wait: Wait): void {
    const place = wait.place;
    if (place < 0) return;
    wait.place = -1;
    const last = this.heap.pop();
    if (last === undefined || last === wait) return;
    this.sink(place, last);
    if (last.place === place) this.rise(place, last);
  }

  /** Ends the clock's timer; nothing fires any more. */
  stop(): void {
    this.armed?.cancel();
    this.armed = undefined;
    this.armedForMs = Number.POSITIVE_INFINITY;
    for (const wait of this.heap) wait.place = -1;
    this.heap.length = 0;
  }

  private arm(dueMs: number): void {
    this.armed?.cancel();
    this.armedForMs = dueMs;
    this.armed = this.clock.setTimer(dueMs - this.clock.monotonicMs(), () => this.fire());
  }

  private fire(): void {
    this.armed = undefined;
    this.armedForMs = Number.POSITIVE_INFINITY;
    const nowMs = this.clock.monotonicMs();
    let first = this.heap[0];
    // Node's timers may fire a fraction of a millisecond early.
    while (first !== undefined && first.dueMs <= nowMs + 0.5) {
      this.remove(first);
      first.expire();
      first = this.heap[0];
    }
    if (first !== undefined && first.dueMs < this.armedForMs) this.arm(first.dueMs);
  }

  private rise(from: number, wait: Wait): void {
    let place = from;
    while (place > 0) {
      const parentPlace = (place - 1) >> 1;
      const parent = this.heap[parentPlace];
      if (parent === undefined || !isBefore(wait, parent)) break;
      this.put(place, parent);
      place = parentPlace;
    }
    this.put(place, wait);
  }

  private sink(from: number, wait: Wait): void {
    let place = from;
    for (;;) {
      const childPlace = this.lesserChild(place);
      const child = this.heap[childPlace];
      if (child === undefined || !isBefore(child, wait)) break;
      this.put(place, child);
      place = childPlace;
    }
    this.put(place, wait);
  }

  private lesserChild(place: number): number {
    const left = this.heap[2 * place + 1];
    const right = this.heap[2 * place + 2];
    return left !== undefined && right !== undefined && isBefore(right, left) ? 2 * place + 2 : 2 * place + 1;
  }

  private put(place: number, wait: Wait): void {
    this.heap[place] = wait;
    wait.place = place;
  }
}

function isBefore(one: Wait, other: Wait): boolean {
  return one.dueMs < other.dueMs || (one.dueMs === other.dueMs && one.order < other.order);
}
