// Jobs that wait for their next attempt, earliest first: a binary heap, so that one timer serves them all.

export interface Retry {
  readonly retryTimeMs: number;
}

export class RetryQueue<Item extends Retry> {
  readonly #heap: Item[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** When the earliest item is due; undefined when there is none. */
  get earliestMs(): number | undefined {
    return this.#heap[0]?.retryTimeMs;
  }

  add(item: Item): void {
    const heap = this.#heap;
    let at = heap.push(item) - 1;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      if (parent === undefined || parent.retryTimeMs <= item.retryTimeMs) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = item;
  }

  /** Removes the earliest item that is due at `nowMs`. */
  takeDue(nowMs: number): Item | undefined {
    const [first] = this.#heap;
    if (first === undefined || first.retryTimeMs > nowMs) return undefined;
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) this.#sink(last);
    return first;
  }

  clear(): void {
    this.#heap.length = 0;
  }

  #sink(item: Item): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      if (left === undefined) break;
      const takeRight = right !== undefined && right.retryTimeMs < left.retryTimeMs;
      const child = takeRight ? right : left;
      if (child.retryTimeMs >= item.retryTimeMs) break;
      heap[at] = child;
      at = 2 * at + (takeRight ? 2 : 1);
    }
    heap[at] = item;
  }
}
