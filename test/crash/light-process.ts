// The program without its threads, its own PostgreSQL and its admin server: gateway, storage, processor and router as
// they are, in one thread of one small process that starts in a fraction of a second. The crash matrix kills hundreds
// of them. Limits are tiny, so that a few hundred events roll and drop datasets, fold ledgers and read backlog.

import { randomUUID } from 'node:crypto';
import { type Settings, settingsSchema } from '../../actors/config.ts';
import { ControlsHolder } from '../../actors/controls/contract.ts';
import { openDatabase } from '../../actors/database.ts';
import type { Environment } from '../../actors/environment.ts';
import { startGateway } from '../../actors/gateway/gateway.ts';
import { createJobRuns } from '../../actors/gateway/job-runs.ts';
import { LiveEvents } from '../../actors/gateway/live-events.ts';
import { processDefinition } from '../../actors/process-actor.ts';
import { processorDefinition } from '../../actors/processor/processor-actor.ts';
import { routerDefinition } from '../../actors/router/router-actor.ts';
import { EventGate } from '../../actors/services/event-gate.ts';
import { builtInWebhookSources } from '../../actors/services/webhook-sources.ts';
import { WorkspaceHolder } from '../../actors/services/workspace.ts';
import { type StorageMessage, storageKind } from '../../actors/storage/contract.ts';
import { type DeadLetterFilter, findDeadLetters } from '../../actors/storage/dead-letters.ts';
import { leaseDefinition } from '../../actors/storage/lease-actor.ts';
import { redrive } from '../../actors/storage/redrive.ts';
import { storageDefinition } from '../../actors/storage/storage-actor.ts';
import { StorageLanes } from '../../actors/storage-lanes.ts';
import {
  type ActorDefinition,
  type ActorRef,
  ActorSystem,
  createMetrics,
  loadConfig,
  realSeams,
} from '../../runtime/index.ts';
import type { Postgres } from '../../transport/index.ts';
import { pollUntil } from '../support/poll.ts';
import { jobRows } from '../support/storage-fixture.ts';
import { arm, takeCounts } from './crash-seam.ts';
import { type LightCommand, type LightEvent, type LightOptions, lightOptionsName } from './light-messages.ts';

const role = 'light';
/** What destinations refused, of all sources, and was not tried again yet. */
const refused: DeadLetterFilter = {
  destinationId: '',
  sourceId: '',
  code: 400,
  sinceMs: 0,
  untilMs: 0,
  beforeJobId: 0,
  jobIds: [],
  withRetried: false,
};
const redrivenMax = 5;
const drainMs = 10_000;
const readyMs = 30_000;

const tell = (event: LightEvent): void => void process.send?.(event);
const options: LightOptions = JSON.parse(process.env[lightOptionsName] ?? '');
if (options.order !== undefined) arm(options.order, () => tell({ kind: 'crashed' }));
const program = await startLight(options).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
process.on('message', (command: LightCommand) => void obey(command));
tell({ kind: 'ready', port: program.port, counts: takeCounts() });

async function obey(command: LightCommand): Promise<void> {
  switch (command.kind) {
    case 'arm':
      arm(command.order, () => tell({ kind: 'crashed' }));
      return;
    case 'awaitQuiet':
      await pollUntil('nothing to be pending', async () => ((await program.isQuiet()) ? true : undefined), 60_000);
      tell({ kind: 'quiet' });
      return;
    case 'refuse':
      program.refuse();
      return;
    case 'redrive':
      // Postgres may be away, or the lane another process's: somebody asks again later.
      program.redrive().catch(() => undefined);
      return;
    case 'counts':
      tell({ kind: 'counts', counts: takeCounts() });
      return;
    case 'stop':
      await program.stop();
      tell({ kind: 'stopped', counts: takeCounts() });
      process.disconnect();
      process.exit(0);
  }
}

function lightSettings(postgresUrl: string): Settings {
  const flags = ['--gateway.host=127.0.0.1', '--gateway.port=0', '--http.engine=node', '--egress.allow=127.0.0.1'];
  const config = loadConfig(settingsSchema, { environment: {}, flags });
  if (!config.ok) throw new Error(`expected the settings to be valid: ${JSON.stringify(config.faults)}`);
  const { settings } = config;
  return {
    ...settings,
    postgres: { ...settings.postgres, url: postgresUrl },
    // Far below what the schema lets an operator set.
    storage: {
      ...settings.storage,
      lanes: 2,
      datasetRowsMax: 60,
      datasetAgeMs: 100,
      residuePercentMax: 90,
      retentionMs: 0,
      copyRowsMin: 10,
      handOffBytesMax: 12_000,
      readRowsMax: 20,
    },
    // Clients of the matrix send nothing twice.
    dedup: { ...settings.dedup, windowMs: 300 },
    processor: { ...settings.processor, slots: 20 },
    router: {
      ...settings.router,
      slots: 30,
      retryBackoffMsMin: 5,
      retryBackoffMsMax: 20,
      retryWindowMs: 0,
      attemptsMax: 3,
    },
  };
}

async function startLight({ postgresUrl, workspace: snapshot }: LightOptions) {
  const settings = lightSettings(postgresUrl);
  const seams = realSeams();
  const log = lightLog();
  const database = await openDatabase(settings, log, seams.clock);
  const workspace = new WorkspaceHolder();
  workspace.publish(snapshot);
  const metrics = createMetrics();
  const telemetry = {
    metrics,
    tracing: { enabled: false, start: () => ({ traceparent: undefined, end: () => undefined }) },
  };
  const instanceId = `light/${process.pid}`;
  const controls = new ControlsHolder();
  const environment: Environment = { settings, workspace, controls, telemetry, postgres: database.address, instanceId };
  const definitions: ActorDefinition<never>[] = [
    storageDefinition(environment),
    processorDefinition(environment),
    routerDefinition(environment),
    leaseDefinition(environment),
    processDefinition({ onDestinationFound: () => undefined }),
  ];
  const own = definitions.map((definition) => ({ ...definition, role }));
  const system = new ActorSystem({ threadId: 1, role, roles: {}, definitions: own, seams, log });
  const storage = (lane: string) => system.ref<StorageMessage>(storageKind, lane);
  const lanes = new StorageLanes(settings.storage.lanes, system);
  await pollUntil('storage to be ready', () => lanes.stats(), readyMs);
  await database.ping();
  const gateway = await startGateway({
    settings,
    workspace,
    storage,
    telemetry,
    log,
    seams,
    newMessageId: randomUUID,
    databaseUp: () => true,
    closedReason: () => '',
    isWorkspaceFull: () => false,
    memoryLow: () => false,
    version: 'light',
    webhookSources: builtInWebhookSources(),
    gate: new EventGate({ suppressedUsers: undefined, rateLimiter: undefined }),
    live: new LiveEvents(seams.clock),
    onWebhookFailed: () => undefined,
    jobRuns: createJobRuns({ postgres: database.postgres, drain: () => Promise.resolve(), log }),
  });
  return {
    port: gateway.port,
    refuse: () => refuse(storage('0')),
    isQuiet: () => isQuiet(lanes, database.postgres),
    redrive: () => redriveTwice(lanes, database.postgres),
    async stop() {
      gateway.refuse();
      await gateway.idle();
      await system.drain(drainMs);
      await gateway.close();
      await database.stop();
    },
  };
}

async function isQuiet(lanes: StorageLanes, postgres: Postgres): Promise<boolean> {
  const { lanes: owned } = await lanes.lease();
  if (owned.some(({ state }) => state !== 'owner')) return false;
  const { rowCount } = await postgres.query('select 1 from sluice_inboxes limit 1');
  const { queues } = await lanes.stats();
  return rowCount === 0 && queues.every(({ pending }) => pending === 0);
}

/** At once: one of the two is told that they were tried again already. */
async function redriveTwice(lanes: StorageLanes, postgres: Postgres): Promise<void> {
  const found = await postgres.withSession((session) => findDeadLetters(session, refused, redrivenMax));
  const twice = [found, found].map((jobs) => redrive(jobs, (lane, commit) => lanes.commit(lane, commit)));
  await Promise.all(twice);
}

/** Two commits of one group, so that it is bisected: the text of one holds a zero byte, which only Postgres notices. */
function refuse(storage: ActorRef<StorageMessage>): void {
  const bad = [{ queue: 'gw' as const, ...jobRows(['refused'], { userId: '\u0000' }) }];
  for (const jobs of [bad, []]) {
    // Nobody waits: what matters is what the lane does about it.
    storage.ask({ kind: 'commit', jobs, results: [], ledger: [] }, { timeoutMs: 5_000 }).catch(() => undefined);
  }
}

function lightLog() {
  const write = (level: string) => (fields: Record<string, unknown>, text: string) => {
    process.stderr.write(`${level} ${text} ${JSON.stringify(fields)}\n`);
  };
  return { debug: () => undefined, info: write('info'), warn: write('warn'), error: write('error') };
}
