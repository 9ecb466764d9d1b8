// Remembers which message ids were seen within a window, in bounded memory and without a Map: 64-bit hashes in flat
// tables, one table per quarter of the window, so that what is too old goes with its table and nothing is swept. Two
// different ids are taken for one with a probability of n / 2^64 for n remembered ones.

/** Quarters that make a window, and the one that is being filled. */
const generationsMax = 5;
const capacityMin = 16;

/** Open addressing with linear probing, at most two thirds full. 0 in both words of a slot: it is free. */
export class HashTable {
  #slots = new Uint32Array(capacityMin * 2);
  #mask = capacityMin - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#slots.byteLength;
  }

  has(low: number, high: number): boolean {
    return this.#find(low, high) >= 0;
  }

  /** It must not be there yet. */
  add(low: number, high: number): void {
    if ((this.#size + 1) * 3 > (this.#mask + 1) * 2) this.#grow();
    this.#put(low, high);
    this.#size += 1;
  }

  delete(low: number, high: number): boolean {
    let hole = this.#find(low, high);
    if (hole < 0) return false;
    this.#size -= 1;
    // Whatever was put further on because of it moves up, so that no search ends at the hole too early.
    for (let at = (hole + 1) & this.#mask; !this.#isFree(at); at = (at + 1) & this.#mask) {
      const home = (this.#slots[at * 2] ?? 0) & this.#mask;
      const isReachable = ((at - home) & this.#mask) < ((at - hole) & this.#mask);
      if (isReachable) continue;
      this.#slots.copyWithin(hole * 2, at * 2, at * 2 + 2);
      hole = at;
    }
    this.#slots.fill(0, hole * 2, hole * 2 + 2);
    return true;
  }

  #find(low: number, high: number): number {
    const slots = this.#slots;
    for (let at = low & this.#mask; ; at = (at + 1) & this.#mask) {
      const [foundLow, foundHigh] = [slots[at * 2], slots[at * 2 + 1]];
      if (foundLow === low && foundHigh === high) return at;
      if (foundLow === 0 && foundHigh === 0) return -1;
    }
  }

  #put(low: number, high: number): void {
    let at = low & this.#mask;
    while (!this.#isFree(at)) at = (at + 1) & this.#mask;
    this.#slots[at * 2] = low;
    this.#slots[at * 2 + 1] = high;
  }

  #isFree(at: number): boolean {
    return this.#slots[at * 2] === 0 && this.#slots[at * 2 + 1] === 0;
  }

  #grow(): void {
    const old = this.#slots;
    const capacity = (this.#mask + 1) * 2;
    this.#slots = new Uint32Array(capacity * 2);
    this.#mask = capacity - 1;
    for (let at = 0; at < old.length; at += 2) {
      const [low = 0, high = 0] = [old[at], old[at + 1]];
      if (low !== 0 || high !== 0) this.#put(low, high);
    }
  }
}

interface Generation {
  /** Its time by `generationMs`. */
  index: number;
  table: HashTable;
}

/**
 * Ids seen within `windowMs`, in the time in which events were received: a backlog that is worked off late finds what a
 * prompt one would have found. An id is remembered for the window at least, and a quarter longer at most.
 */
export class DedupSet {
  readonly #generationMs: number;
  /** Oldest first; the last one is being filled. */
  #generations: Generation[] = [];

  constructor(windowMs: number) {
    this.#generationMs = Math.max(1, Math.ceil(windowMs / (generationsMax - 1)));
  }

  get size(): number {
    return this.#generations.reduce((sum, { table }) => sum + table.size, 0);
  }

  /** Epoch ms of the oldest; Infinity when there is none. */
  get oldestMs(): number {
    return (this.#generations[0]?.index ?? Number.POSITIVE_INFINITY) * this.#generationMs;
  }

  has(low: number, high: number): boolean {
    const word = wordOf(low, high);
    for (let at = this.#generations.length - 1; at >= 0; at -= 1) {
      if (this.#generations[at]?.table.has(word, high) === true) return true;
    }
    return false;
  }

  /** It must not be there yet; after `advance`. */
  add(low: number, high: number): void {
    this.#generations.at(-1)?.table.add(wordOf(low, high), high);
  }

  delete(low: number, high: number): boolean {
    const word = wordOf(low, high);
    return this.#generations.some(({ table }) => table.delete(word, high));
  }

  /** Gives back how many entries went. */
  forgetOldest(): number {
    return this.#generations.shift()?.table.size ?? 0;
  }

  /**
   * An event of this time has come: gives back how many entries went because of it. One that comes late counts as seen
   * now: nothing is forgotten too early.
   */
  advance(receivedAtMs: number): number {
    const index = Math.floor(receivedAtMs / this.#generationMs);
    const last = this.#generations.at(-1);
    if (last !== undefined && index <= last.index) return 0;
    this.#generations.push({ index, table: new HashTable() });
    let forgotten = 0;
    while ((this.#generations[0]?.index ?? index) <= index - generationsMax) forgotten += this.forgetOldest();
    return forgotten;
  }
}

/** The low word of a hash; that of the one hash which looks like a free slot is another. */
function wordOf(low: number, high: number): number {
  return low === 0 && high === 0 ? 1 : low;
}
