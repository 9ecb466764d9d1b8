// How much of their limits partitions may use while memory is short: all of it as long as there is plenty, a tenth less with
// every look while it is scarce, one job at a time while it is nearly used up (spec/ingest.md 4.1), and a tenth more with
// every look once there is plenty again. What is held is never taken back: less is asked for.

/** Free share of memory above which nothing is limited, and at or below which only single jobs go on. */
const plenty = 0.3;
const critical = 0.1;
const stepsMax = 9;
const step = 0.1;

export class AdaptiveLimit {
  #steps = 0;
  #isCritical = false;

  /** 0 to 1, of every limit. */
  get share(): number {
    return this.#isCritical ? 0 : (10 - this.#steps) * step;
  }

  /** `free`: share of what the process may use. Once a second. */
  look(free: number): void {
    this.#isCritical = !(free > critical);
    if (this.#isCritical) this.#steps = stepsMax;
    else this.#steps = Math.max(0, Math.min(stepsMax, this.#steps + (free > plenty ? -1 : 1)));
  }
}
