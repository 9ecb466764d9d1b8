// The jobs of a lane that may be sent, in order: taken from the front nearly always, so that the front is a number and
// nothing moves.

/** Entries before the front that are worth cutting off. */
const cutAt = 1_024;

export class ReadyLine<Item> {
  #items: (Item | undefined)[] = [];
  #front = 0;

  get length(): number {
    return this.#items.length - this.#front;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  at(index: number): Item | undefined {
    return this.#items[this.#front + index];
  }

  removeAt(index: number): void {
    if (index > 0) {
      this.#items.splice(this.#front + index, 1);
      return;
    }
    this.#items[this.#front] = undefined;
    this.#front += 1;
    if (this.#front === this.#items.length) this.clear();
    else if (this.#front >= cutAt) {
      this.#items = this.#items.slice(this.#front);
      this.#front = 0;
    }
  }

  /** Keeps those for which `keeps` holds. */
  filter(keeps: (item: Item) => boolean): void {
    this.#items = this.#items.slice(this.#front).filter((item) => item !== undefined && keeps(item));
    this.#front = 0;
  }

  clear(): void {
    this.#items = [];
    this.#front = 0;
  }
}
