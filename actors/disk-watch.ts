// Stops the intake before the disk is full. PostgreSQL ends when it cannot write its log, and does not start again until
// somebody makes room: then not even deliveries go on, which are what could make room. So events are refused while
// there is still space for the statuses of those that were accepted.

import { statfs } from 'node:fs/promises';
import type { ActorLog, Clock } from '../runtime/index.ts';
import { diskBytesFreeMin } from './start-checks.ts';

/** At a hundred megabytes of events in a second the reserve lasts for two looks. */
const lookMs = 1_000;
/** More than a start asks for, so that a program that was killed in this state can start and deliver. */
export const intakeBytesFreeMin = 2 * diskBytesFreeMin;

export interface DiskWatchOptions {
  folder: string;
  clock: Clock;
  log: Pick<ActorLog, 'warn' | 'info'>;
  /** Default: what the file system says. */
  freeBytes?(folder: string): Promise<number>;
}

export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #freeBytes: (folder: string) => Promise<number>;
  #isLow = false;
  #stopped = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
    this.#freeBytes = options.freeBytes ?? freeBytesOf;
  }

  /** No event may be accepted now. */
  get isLow(): boolean {
    return this.#isLow;
  }

  /** Looks now and from then on once a second. Resolves after the first look; never rejects. */
  async start(): Promise<void> {
    await this.#look();
    if (!this.#stopped) this.#options.clock.setTimer(lookMs, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
  }

  async #look(): Promise<void> {
    const { folder, log } = this.#options;
    let free: number;
    try {
      free = await this.#freeBytes(folder);
    } catch (error) {
      // Not knowing is no reason to refuse: Postgres still says no when there is no room.
      log.warn({ folder, error }, 'the free space of the data folder cannot be read');
      return;
    }
    const isLow = free < intakeBytesFreeMin;
    if (isLow === this.#isLow) return;
    this.#isLow = isLow;
    const fields = { folder, freeBytes: free, neededBytes: intakeBytesFreeMin };
    if (isLow) log.warn(fields, 'the disk is nearly full: events are refused, those accepted are still delivered');
    else log.info(fields, 'the disk has room again: events are accepted');
  }
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
