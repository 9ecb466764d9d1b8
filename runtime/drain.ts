// Stops every actor of a thread in two waves: first the batch class (the stages), then the interactive one (storage,
// gateway), because stages still hand back their jobs and ask for commits while they stop. Each actor finishes the
// message in hand; what it had not begun is refused.
//
// Waves: 0 running → 1 batch actors stop → 2 interactive actors stop → over, when all have or a deadline passed.

import { formatAddress } from './address.ts';
import type { Cell } from './cell.ts';
import type { Registry } from './registry.ts';
import { CallbackWait, type Timers } from './timers.ts';

export interface DrainOutcome {
  clean: boolean;
  /** Printed addresses of actors that had not stopped by the deadline. */
  unfinished: string[];
}

export class Drain {
  private readonly registry: Registry;
  private readonly timers: Timers;
  private readonly over: () => void;
  private wave = 0;
  private outcome: DrainOutcome | undefined;
  private readonly waiting: ((outcome: DrainOutcome) => void)[] = [];

  /** `over` runs once, before anybody is told. */
  constructor(registry: Registry, timers: Timers, over: () => void) {
    this.registry = registry;
    this.timers = timers;
    this.over = over;
  }

  get hasBegun(): boolean {
    return this.wave > 0;
  }

  admits(isInteractive: boolean): boolean {
    return this.wave === 0 || (this.wave === 1 && isInteractive);
  }

  /** Called again, the earlier deadline counts. */
  run(deadlineMs: number): Promise<DrainOutcome> {
    if (this.outcome !== undefined) return Promise.resolve(this.outcome);
    const outcome = new Promise<DrainOutcome>((resolve) => this.waiting.push(resolve));
    this.timers.add(new CallbackWait(() => this.end()), deadlineMs);
    if (this.wave === 0) this.nextWave();
    return outcome;
  }

  private nextWave(): void {
    this.wave += 1;
    if (this.wave > 2) {
      this.end();
      return;
    }
    const isInteractive = this.wave === 2;
    const cells: Cell[] = [];
    for (const cell of this.registry.cells()) if (cell.isInteractive === isInteractive) cells.push(cell);
    let left = cells.length + 1;
    const stopped = (): void => {
      left -= 1;
      if (left === 0) this.nextWave();
    };
    for (const cell of cells) cell.requestStop('drain', stopped);
    stopped();
  }

  private end(): void {
    if (this.outcome !== undefined) return;
    const unfinished = [...this.registry.cells()].map((cell) => formatAddress(cell.address));
    this.outcome = { clean: unfinished.length === 0, unfinished };
    this.over();
    for (const resolve of this.waiting) resolve(this.outcome);
  }
}
