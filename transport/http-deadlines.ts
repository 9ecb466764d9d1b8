// Ends requests whose body does not arrive in time, in both HTTP engines: a client that sends a byte now and then would
// hold its connection and its place for ever. One timer for all of them, and only while something is being read.

/** A request between its headers and the end of its body. */
export interface Reading {
  expire(): void;
}

/** Looks per deadline: a request is ended at most a quarter of its time late. */
const looksPerDeadline = 4;

export class ReadDeadlines {
  readonly #lookMs: number;
  /** By the look after which each began; a Map keeps the order of arrival. */
  readonly #reading = new Map<Reading, number>();
  #look = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#lookMs = Math.max(1, timeoutMs / looksPerDeadline);
  }

  add(reading: Reading): void {
    this.#reading.set(reading, this.#look);
    this.#timer ??= setInterval(() => this.#expire(), this.#lookMs).unref();
  }

  delete(reading: Reading): void {
    this.#reading.delete(reading);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #expire(): void {
    this.#look += 1;
    for (const [reading, begun] of this.#reading) {
      if (this.#look - begun <= looksPerDeadline) break;
      this.#reading.delete(reading);
      reading.expire();
    }
    if (this.#reading.size === 0) this.stop();
  }
}
