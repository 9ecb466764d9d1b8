// Looks at the disk of the embedded PostgreSQL and says how tight it is. PostgreSQL ends when it cannot write its log,
// and does not start again until somebody makes room: then not even deliveries go on, which are what could make room.
// So less is taken in step by step (intake-watch.ts) while there is still space for the statuses of what was accepted,
// and when even that runs out the ballast is given up.
//
// Levels: plenty → warn → shed → refuse, each below its mark; a level is left only a tenth above it, so that it does
// not flap.

import { statfs } from 'node:fs/promises';
import type { ActorLog, Clock } from '../runtime/index.ts';
import { type Ballast, ballastMark } from './ballast.ts';

/** At a hundred megabytes of events in a second the reserve lasts for two looks. */
const lookMs = 1_000;
const wayBack = 0.1;

export type DiskLevel = 'plenty' | 'warn' | 'shed' | 'refuse';

export interface DiskMarks {
  warnBytes: number;
  shedBytes: number;
  refuseBytes: number;
}

export interface DiskWatchOptions {
  folder: string;
  marks: DiskMarks;
  /** Undefined: none is kept. */
  ballast: Pick<Ballast, 'bytes' | 'isPresent' | 'release' | 'build'> | undefined;
  clock: Clock;
  log: Pick<ActorLog, 'warn' | 'info'>;
  /** Default: what the file system says. */
  freeBytes?(folder: string): Promise<number>;
}

const levelTexts: Readonly<Record<DiskLevel, string>> = {
  plenty: 'the disk has room again: all events are accepted',
  warn: 'the disk fills: all events are still accepted',
  shed: 'the disk is tight: the workspaces that hold most of what waits are refused',
  refuse: 'the disk is nearly full: events are refused, those accepted are still delivered',
};

export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #freeBytes: (folder: string) => Promise<number>;
  #level: DiskLevel = 'plenty';
  #free = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
    this.#freeBytes = options.freeBytes ?? freeBytesOf;
  }

  get level(): DiskLevel {
    return this.#level;
  }

  /** As of the last look; without the ballast. */
  get freeBytes(): number {
    return this.#free;
  }

  get ballastBytes(): number {
    const { ballast } = this.#options;
    return ballast?.isPresent === true ? ballast.bytes : 0;
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
    this.#free = free;
    const level = diskLevel(free, this.#level, this.#options.marks);
    if (level !== this.#level) {
      const fields = { folder, freeBytes: free, level };
      if (level === 'plenty') log.info(fields, levelTexts[level]);
      else log.warn(fields, levelTexts[level]);
      this.#level = level;
    }
    await this.#tendBallast(free);
  }

  async #tendBallast(free: number): Promise<void> {
    const { ballast, marks, log, folder } = this.#options;
    if (ballast === undefined) return;
    if (ballast.isPresent && free < ballastMark(marks.refuseBytes)) {
      await ballast.release();
      log.warn(
        { folder, ballastBytes: ballast.bytes },
        'the disk is full: the ballast was given up so that work can go on',
      );
    } else if (!ballast.isPresent && free >= marks.warnBytes + ballast.bytes) {
      ballast.build();
    }
  }
}

/** Exported for its test. */
export function diskLevel(free: number, before: DiskLevel, marks: DiskMarks): DiskLevel {
  const isBelow = (mark: number, isThere: boolean): boolean => free < (isThere ? mark + mark * wayBack : mark);
  if (isBelow(marks.refuseBytes, before === 'refuse')) return 'refuse';
  if (isBelow(marks.shedBytes, before === 'refuse' || before === 'shed')) return 'shed';
  return isBelow(marks.warnBytes, before !== 'plenty') ? 'warn' : 'plenty';
}

async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
