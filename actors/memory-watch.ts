// Stops the intake before memory is used up: a process that the system kills for its size loses what it had in hand, and
// one that swaps helps nobody. What was accepted is still delivered, which is what frees memory.

import { totalmem } from 'node:os';
import type { ActorLog, Clock } from '../runtime/index.ts';

const lookMs = 1_000;
/** Of what the process may use, when no setting says more. */
const shareMax = 0.85;

export interface MemoryWatchOptions {
  /** 0: a share of `limitBytes`. */
  bytesMax: number;
  /** What the process may use: of its control group, else of the machine. */
  limitBytes(): number;
  residentBytes(): number;
  clock: Clock;
  log: Pick<ActorLog, 'warn' | 'info'>;
}

export class MemoryWatch {
  readonly #options: MemoryWatchOptions;
  #isLow = false;
  #stopped = false;

  constructor(options: MemoryWatchOptions) {
    this.#options = options;
  }

  /** No event may be accepted now. */
  get isLow(): boolean {
    return this.#isLow;
  }

  /** Looks now and from then on once a second. */
  start(): void {
    if (this.#stopped) return;
    this.#look();
    this.#options.clock.setTimer(lookMs, () => this.start());
  }

  stop(): void {
    this.#stopped = true;
  }

  #look(): void {
    const { bytesMax, limitBytes, residentBytes, log } = this.#options;
    const allowedBytes = bytesMax > 0 ? bytesMax : limitBytes() * shareMax;
    const usedBytes = residentBytes();
    const isLow = usedBytes > allowedBytes;
    if (isLow === this.#isLow) return;
    this.#isLow = isLow;
    const fields = { usedBytes, allowedBytes: Math.round(allowedBytes) };
    if (isLow) log.warn(fields, 'memory is nearly used up: events are refused, those accepted are still delivered');
    else log.info(fields, 'there is memory again: events are accepted');
  }
}

/** What the process may use: of its control group, of either version (`constrained`), else of the machine. */
export function memoryLimit(constrained: number): number {
  // Some systems report a limit beyond what the machine has when there is none.
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
