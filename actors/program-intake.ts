// What decides about intake in the running program, put together: the watch over the disk of the embedded PostgreSQL
// with its ballast, and the watch over what waits.

import type { ActorLog, Clock, Metrics } from '../runtime/index.ts';
import { Ballast, ballastPath } from './ballast.ts';
import type { Settings } from './config.ts';
import { DiskWatch } from './disk-watch.ts';
import { IntakeWatch } from './intake-watch.ts';
import type { StorageLanes } from './storage-lanes.ts';

export interface ProgramIntakeOptions {
  settings: Settings['storage'];
  /** Where the embedded PostgreSQL keeps its data: of another server's disk nothing is known. */
  dataDirectory: string | undefined;
  storage: Pick<StorageLanes, 'pressure'>;
  databaseUp(): boolean;
  metrics: Metrics;
  clock: Clock;
  log: Pick<ActorLog, 'warn' | 'info'>;
}

export interface ProgramIntake {
  watch: IntakeWatch;
  stop(): Promise<void>;
}

/** Resolves after the first look at everything. */
export async function startProgramIntake(options: ProgramIntakeOptions): Promise<ProgramIntake> {
  const { settings, dataDirectory, storage, metrics, clock, log, databaseUp } = options;
  const { diskWarnBytes, diskShedBytes, diskRefuseBytes, ballastBytes } = settings;
  let ballast: Ballast | undefined;
  let disk: DiskWatch | undefined;
  if (dataDirectory !== undefined) {
    if (ballastBytes > 0) ballast = new Ballast({ path: ballastPath(dataDirectory), bytes: ballastBytes, clock, log });
    const marks = { warnBytes: diskWarnBytes, shedBytes: diskShedBytes, refuseBytes: diskRefuseBytes };
    disk = new DiskWatch({ folder: dataDirectory, marks, ballast, clock, log });
    await disk.start();
  }
  const watch = new IntakeWatch({
    settings,
    disk,
    pressure: () => storage.pressure(),
    databaseUp,
    metrics,
    clock,
    log,
  });
  await watch.start();
  return {
    watch,
    stop: async () => {
      watch.stop();
      disk?.stop();
      await ballast?.stop();
    },
  };
}
