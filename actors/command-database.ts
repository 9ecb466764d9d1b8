// The database for a command that looks at it and ends: the operator's own, the embedded one of a program that runs
// (which is not disturbed), or the embedded one of a program that does not (which is started for the command alone).

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ActorLog } from '../runtime/index.ts';
import {
  embeddedDataDirectory,
  findRunningPostgres,
  openPostgres,
  type Postgres,
  type PostgresAddress,
  startEmbeddedPostgres,
} from '../transport/index.ts';
import type { Settings } from './config.ts';
import { toStartError } from './database.ts';
import { StartError } from './start-error.ts';

export interface CommandDatabase {
  postgres: Postgres;
  address: PostgresAddress;
  /** How it was come by, for people. */
  description: string;
  /** Where Postgres keeps the data, when it is ours. */
  dataDirectory: string | undefined;
}

export interface CommandDatabaseOptions {
  settings: Settings;
  log: ActorLog;
  /** Where there is no database yet: make one, as a start would. Default: that is an error. */
  create?: boolean;
  /** Longest statement. Default: `postgres.statementTimeoutMs`. */
  statementTimeoutMs?: number;
}

/** Throws StartError when there is no database to look at. */
export async function withCommandDatabase<Value>(
  options: CommandDatabaseOptions,
  work: (database: CommandDatabase) => Promise<Value>,
): Promise<Value> {
  const { url } = options.settings.postgres;
  if (url !== '') {
    return await run(options, { address: { url }, description: 'your server', dataDirectory: undefined }, work);
  }
  const dataDir = options.settings.data.dir;
  const running = findRunningPostgres(dataDir);
  if (running !== undefined) {
    const { address, dataDirectory, pid } = running;
    return await run(options, { address, dataDirectory, description: `embedded, running as process ${pid}` }, work);
  }
  if (options.create !== true && !existsSync(join(embeddedDataDirectory(dataDir), 'PG_VERSION'))) {
    throw new StartError(
      `The data folder ${dataDir} holds no database.`,
      'Set data.dir (SLUICE_DATA_DIR) to the folder of the program, or SLUICE_POSTGRES_URL to its server.',
    );
  }
  const embedded = await startEmbeddedPostgres({ dataDir, log: options.log, restartWhenLost: false }).catch(
    (error: unknown) => {
      throw toStartError(error);
    },
  );
  try {
    const { address, dataDirectory, initialised } = embedded;
    const description = `embedded, ${initialised ? 'made and ' : ''}started for this command`;
    return await run(options, { address, dataDirectory, description }, work);
  } finally {
    await embedded.stop();
  }
}

async function run<Value>(
  { settings, statementTimeoutMs }: CommandDatabaseOptions,
  found: Omit<CommandDatabase, 'postgres'>,
  work: (database: CommandDatabase) => Promise<Value>,
): Promise<Value> {
  const postgres = openPostgres({
    address: found.address,
    applicationName: 'sluice command',
    connectTimeoutMs: settings.postgres.connectTimeoutMs,
    statementTimeoutMs: statementTimeoutMs ?? settings.postgres.statementTimeoutMs,
    poolMax: 2,
  });
  try {
    return await work({ ...found, postgres });
  } catch (error) {
    throw toStartError(error);
  } finally {
    await postgres.close();
  }
}
