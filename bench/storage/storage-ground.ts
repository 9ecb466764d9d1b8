// Where the parts of the storage scenario are measured: one embedded PostgreSQL with the product's settings, a database
// of its own for each competitor, all gone at the end.

import type { Settings } from '../../actors/config.ts';
import { openDatabase } from '../../actors/database.ts';
import { realSeams } from '../../runtime/index.ts';
import { type Cleanup, temporaryFolder } from '../../test/support/cleanup.ts';
import { openPostgres, type Postgres, type PostgresAddress } from '../../transport/index.ts';
import type { Measurement, Run } from '../harness/scenario.ts';
import { BarePostgres, createDatabase } from './bare-postgres.ts';
import { benchSettings, StorageBench, type StorageBenchOptions } from './storage-bench.ts';

/** What every part adds to. */
export type StorageResult = {
  [Name in 'figures' | 'ratios' | 'goals' | 'latencies' | 'series' | 'checks' | 'notMeasured']: NonNullable<
    Measurement[Name]
  >[number][];
};

export interface StorageOptions {
  rounds: number;
  jobs: number;
  eventBytes: number;
  partitions: number;
  groupRows: readonly number[];
  submissionRows: number;
  window: number;
  backlogJobs: number;
  backlogPartitions: number;
  snapshotSeconds: number;
  commits: number;
  parts: readonly string[];
}

/** For scenarios that use the ground for something else. */
export const storageDefaults: StorageOptions = {
  rounds: 1,
  jobs: 1,
  eventBytes: 1024,
  partitions: 1,
  groupRows: [],
  submissionRows: 1000,
  window: 20_000,
  backlogJobs: 1,
  backlogPartitions: 1,
  snapshotSeconds: 1,
  commits: 1,
  parts: [],
};

export interface StorageGround {
  cleanup: Cleanup;
  options: StorageOptions;
  address: PostgresAddress;
  /** For questions to the server, in the product's database. */
  postgres: Postgres;
  bare: BarePostgres;
  result: StorageResult;
  /** Peers as they ran, for the settings of the result. */
  peers: string[];
  settingsWith(flags: readonly string[]): Settings;
  startBench(changes?: {
    flags?: readonly string[];
    partitions?: number;
    stages?: StorageBenchOptions['stages'];
  }): Promise<StorageBench>;
  say(text: string): void;
}

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export async function openGround(
  run: Pick<Run, 'cleanup' | 'productFlags' | 'say'>,
  options: StorageOptions,
): Promise<StorageGround> {
  const { cleanup, productFlags, say } = run;
  const dataDir = await temporaryFolder(cleanup);
  const settingsWith = (flags: readonly string[]): Settings => benchSettings(dataDir, [...productFlags, ...flags]);
  const database = await openDatabase(settingsWith([]), silent, realSeams().clock);
  cleanup.after(() => database.stop());
  const { address } = database;
  const postgres = openPostgres({ address, applicationName: 'bench' });
  cleanup.after(() => postgres.close());
  const bare = await BarePostgres.open(cleanup, await createDatabase(address, 'raw_limit'));
  return {
    cleanup,
    options,
    address,
    postgres,
    bare,
    say,
    settingsWith,
    peers: [],
    result: { figures: [], ratios: [], goals: [], latencies: [], series: [], checks: [], notMeasured: [] },
    startBench: (changes = {}) =>
      StorageBench.start(cleanup, {
        address,
        // Frames are stored again and again with the message ids they have: deduplicated, nothing would be processed.
        settings: settingsWith([...(changes.flags ?? []), '--dedup.enabled=false']),
        partitions: changes.partitions ?? options.partitions,
        ...(changes.stages === undefined ? {} : { stages: changes.stages }),
      }),
  };
}

/** Checks what the engine did and puts it away; a part that comes later starts its own on the same database. */
export async function closeBench({ result }: StorageGround, bench: StorageBench, part: string): Promise<void> {
  for (const { name, faults } of await bench.checks()) result.checks.push({ name: `${part}: ${name}`, faults });
  await bench.stop();
}
