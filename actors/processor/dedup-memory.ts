// What the processors of one thread remember of message ids, together bounded. A partition's memory outlives its actor:
// when the partition is opened here again and storage says that nobody else has added to it, nothing is read back.

import type { Metrics } from '../../runtime/index.ts';
import type { SeenIds } from '../storage/contract.ts';
import { readHashes } from './dedup-claims.ts';
import { DedupSet } from './dedup-set.ts';

/** Where to stop once the bound is exceeded, so that it is not met again at once. */
const shareKept = 0.9;

export class DedupMemory {
  readonly #entriesMax: number;
  readonly #forgotten;
  readonly #partitions = new Map<string, PartitionMemory>();
  #entries = 0;

  constructor(entriesMax: number, metrics: Metrics) {
    this.#entriesMax = entriesMax;
    this.#forgotten = metrics.counter(
      'sluice_dedup_forgotten_total',
      'Message ids forgotten before their window was over, because dedup.entriesMax was reached',
    );
  }

  get entries(): number {
    return this.#entries;
  }

  /** That of a partition which somebody has open now; a new one when it was never here or had to go. */
  open(key: string): PartitionMemory {
    const known = this.#partitions.get(key);
    const memory = known ?? new PartitionMemory((entries) => this.#grown(entries));
    memory.isOpen = true;
    // The order of the map is that of use.
    this.#partitions.delete(key);
    this.#partitions.set(key, memory);
    return memory;
  }

  close(key: string): void {
    const memory = this.#partitions.get(key);
    if (memory === undefined) return;
    memory.isOpen = false;
    if (memory.size === 0) this.#partitions.delete(key);
  }

  drop(key: string): void {
    const memory = this.#partitions.get(key);
    if (memory === undefined) return;
    this.#partitions.delete(key);
    this.#entries -= memory.size;
    memory.abandon();
  }

  #grown(entries: number): void {
    this.#entries += entries;
    if (this.#entries > this.#entriesMax) this.#shrink(Math.floor(this.#entriesMax * shareKept));
  }

  /** First what can be read back, then the oldest of what cannot. */
  #shrink(entries: number): void {
    for (const [key, { isOpen }] of [...this.#partitions]) {
      if (this.#entries <= entries) return;
      if (!isOpen) this.drop(key);
    }
    const sets = [...this.#partitions.values()].flatMap((memory) => memory.sets);
    let forgotten = 0;
    while (this.#entries - forgotten > entries) {
      const oldest = sets.reduce((a, b) => (b.oldestMs < a.oldestMs ? b : a));
      // All of them at this age: one after the other would be a search for each.
      const { oldestMs } = oldest;
      for (const set of sets) if (set.oldestMs === oldestMs) forgotten += set.forgetOldest();
    }
    this.#entries -= forgotten;
    this.#forgotten.add(forgotten);
  }
}

/** Ids of one partition, by the window for which they are remembered: sources may have windows of their own. */
export class PartitionMemory {
  readonly #grown: (entries: number) => void;
  readonly #sets = new Map<number, DedupSet>();
  #isAbandoned = false;
  isOpen = true;
  /** The session whose commits were the last to add to it, as storage tells it. 0: nobody's. */
  mark = 0;

  constructor(grown: (entries: number) => void) {
    this.#grown = grown;
  }

  get sets(): DedupSet[] {
    return [...this.#sets.values()];
  }

  get size(): number {
    let size = 0;
    for (const set of this.#sets.values()) size += set.size;
    return size;
  }

  has(low: number, high: number): boolean {
    for (const set of this.#sets.values()) if (set.has(low, high)) return true;
    return false;
  }

  /** False when it is there already. */
  add(low: number, high: number, windowMs: number, receivedAtMs: number): boolean {
    let set = this.#sets.get(windowMs);
    if (set === undefined) {
      set = new DedupSet(windowMs);
      this.#sets.set(windowMs, set);
    }
    let grown = 0;
    for (const one of this.#sets.values()) grown -= one.advance(receivedAtMs);
    const isNew = !this.has(low, high);
    if (isNew) {
      set.add(low, high);
      grown += 1;
    }
    if (grown !== 0 && !this.#isAbandoned) this.#grown(grown);
    return isNew;
  }

  delete(low: number, high: number): void {
    for (const set of this.#sets.values()) {
      if (set.delete(low, high) && !this.#isAbandoned) this.#grown(-1);
    }
  }

  load(rows: readonly SeenIds[]): void {
    for (const { windowMs, seenMs, hashes } of rows) {
      readHashes(hashes, (low, high) => void this.add(low, high, windowMs, seenMs));
    }
  }

  /** It is in nobody's books any more. */
  abandon(): void {
    this.#isAbandoned = true;
  }
}
