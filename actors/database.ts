// The database of this process, ready to use: embedded or the operator's own, checked, migrated, and not in use by
// another Sluice. Whatever is wrong becomes a StartError that tells how to mend it.

import { type ActorLog, type Clock, environmentName } from '../runtime/index.ts';
import {
  checkServer,
  describeServer,
  EmbeddedPostgresError,
  openPostgres,
  type Postgres,
  type PostgresAddress,
  type PostgresSession,
  type ServerDescription,
  startEmbeddedPostgres,
  TransportError,
} from '../transport/index.ts';
import type { Settings } from './config.ts';
import { StartError } from './start-error.ts';
import { MigrationError, migrate } from './storage/migrate.ts';
import { type ModesOutcome, settleModes } from './storage/modes.ts';

/** A process that was killed holds its lane until Postgres has noticed. */
const laneWaitMs = 15_000;
const laneLookMs = 200;

export interface Database {
  address: PostgresAddress;
  server: ServerDescription;
  /** For the banner: `embedded (started)`, `embedded (adopted)` or the host of the operator's server. */
  description: string;
  /** Where Postgres keeps the data, when we run it. */
  dataDirectory: string | undefined;
  /** Weaker promises than the default, one sentence each. */
  warnings: string[];
  /** For what main itself keeps: few and short statements, never jobs. */
  postgres: Postgres;
  /** Does Postgres answer now? */
  ping(): Promise<void>;
  stop(): Promise<void>;
}

export async function openDatabase(settings: Settings, log: ActorLog, clock: Clock): Promise<Database> {
  const { url } = settings.postgres;
  const embedded = url === '' ? await startEmbedded(settings, log) : undefined;
  const address = embedded?.address ?? { url };
  const postgres = openPostgres({
    address,
    applicationName: 'sluice main',
    connectTimeoutMs: settings.postgres.connectTimeoutMs,
    // One more than the services need, so that a look whether Postgres answers does not wait for them.
    poolMax: 3,
  });
  try {
    const { server, warnings } = await prepare(postgres, settings, clock);
    return {
      address,
      server,
      postgres,
      description: embedded === undefined ? 'your server' : `embedded, ${embedded.adopted ? 'adopted' : 'started'}`,
      dataDirectory: embedded?.dataDirectory,
      warnings,
      ping: async () => void (await postgres.query('select 1', [], { timeoutMs: settings.postgres.connectTimeoutMs })),
      stop: async () => {
        await postgres.close();
        await embedded?.stop();
      },
    };
  } catch (error) {
    await postgres.close();
    await embedded?.stop();
    throw toStartError(error);
  }
}

async function startEmbedded(settings: Settings, log: ActorLog) {
  try {
    return await startEmbeddedPostgres({ dataDir: settings.data.dir, log });
  } catch (error) {
    throw toStartError(error);
  }
}

async function prepare(
  postgres: Postgres,
  settings: Settings,
  clock: Clock,
): Promise<{ server: ServerDescription; warnings: string[] }> {
  return await postgres.withSession(async (session) => {
    const server = await describeServer(session);
    const problems = checkServer(server);
    const worst = problems.find((problem) => problem.severity === 'error');
    if (worst !== undefined) throw new StartError(worst.message, worst.fix);
    await migrate(session);
    await agreeOnModes(session, settings, clock);
    return { server, warnings: problems.map((problem) => `${problem.message} ${problem.fix}`) };
  });
}

/** What says where a pending job belongs must not change under it. */
async function agreeOnModes(session: PostgresSession, settings: Settings, clock: Clock): Promise<void> {
  const { storage, processor, router } = settings;
  const wanted = {
    'storage.lanes': String(storage.lanes),
    'processor.isolation': processor.isolation,
    'processor.shards': processor.shards,
    'router.isolation': router.isolation,
    'router.shards': router.shards,
  };
  const startedMs = clock.monotonicMs();
  for (;;) {
    const outcome = await settleModes(session, wanted);
    if (outcome.kind === 'settled') return;
    // A process that was killed holds its lanes until Postgres has noticed.
    const isOver = clock.monotonicMs() - startedMs > laneWaitMs;
    if (outcome.kind === 'pending' || isOver) throw modesError(outcome);
    await new Promise<void>((resolve) => void clock.setTimer(laneLookMs, resolve));
  }
}

function modesError(outcome: Exclude<ModesOutcome, { kind: 'settled' }>): StartError {
  const changes = outcome.changes.map(
    ({ name, stored, wanted }) => `${name} was ${JSON.stringify(stored)} and is now ${JSON.stringify(wanted)}`,
  );
  const old = outcome.changes.map(({ name, stored }) => `${name}=${JSON.stringify(stored)} (${environmentName(name)})`);
  if (outcome.kind === 'inUse') {
    return new StartError(
      `Another Sluice process uses this database with other settings: ${changes.join('; ')}.`,
      `Start this one with ${old.join(', ')}, or stop all processes before you change it.`,
    );
  }
  return new StartError(
    `${changes.join('; ')}, and ${outcome.jobs} pending jobs were stored by the old value: the order of their users would be lost.`,
    `Start with ${old.join(', ')} until nothing is pending, stop, and start with the new value then.`,
  );
}

export function toStartError(error: unknown): StartError {
  if (error instanceof StartError) return error;
  if (error instanceof EmbeddedPostgresError || error instanceof MigrationError) {
    return new StartError(error.message, error.fix, undefined, error);
  }
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof TransportError) {
    return new StartError(
      `PostgreSQL cannot be used: ${text}.`,
      'Check that the server runs and that SLUICE_POSTGRES_URL names its host, port, user, password and database.',
      undefined,
      error,
    );
  }
  return new StartError(`The database could not be prepared: ${text}.`, 'The log has the details.', undefined, error);
}
