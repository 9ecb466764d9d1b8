// The gateway of the running program with what stands beside it: a few connections of its own for what it keeps apart
// from jobs (counters of job runs, webhook failures), and the routes these bring to the admin server.

import { randomUUID } from 'node:crypto';
import type { ActorLog, ActorRef, Seams, Telemetry } from '../runtime/index.ts';
import { openPostgres, type PostgresAddress } from '../transport/index.ts';
import type { AdminRoute } from './admin/contract.ts';
import type { Settings } from './config.ts';
import { type Gateway, startGateway } from './gateway/gateway.ts';
import { createJobRuns } from './gateway/job-runs.ts';
import { LiveEvents, LiveStreams } from './gateway/live-events.ts';
import { LiveUpload } from './gateway/live-upload.ts';
import { Retention } from './gateway/retention.ts';
import { WebhookFailures } from './gateway/webhook-failures.ts';
import { MemoryWatch, memoryLimit } from './memory-watch.ts';
import type { ProgramOptions } from './program-contract.ts';
import { controlPlaneName } from './services/control-plane.ts';
import type { EventGate } from './services/event-gate.ts';
import { ServiceClient } from './services/service-client.ts';
import type { WebhookSources } from './services/webhook-sources.ts';
import type { WorkspaceHolder } from './services/workspace.ts';
import type { StorageMessage } from './storage/contract.ts';

export interface ProgramGatewayOptions {
  settings: Settings;
  version: string;
  workspace: WorkspaceHolder;
  postgres: PostgresAddress;
  storage(lane: string): ActorRef<StorageMessage>;
  telemetry: Telemetry;
  log: ActorLog;
  seams: Pick<Seams, 'clock' | 'executor'>;
  databaseUp(): boolean;
  gate: EventGate;
  webhookSources: WebhookSources;
  closedReason(): string;
  isWorkspaceFull(workspaceId: string): boolean;
  process: Pick<ProgramOptions['process'], 'memoryUsage' | 'constrainedMemory'>;
  /** Pending jobs of this run are to be given up. */
  drainJobRun(jobRunId: string): Promise<void>;
}

export interface ProgramGateway extends Gateway {
  readonly adminRoutes: readonly AdminRoute[];
}

/** Connections for what is asked for seldom; event rows never go this way. */
const poolMax = 2;
const uploadAnswerBytesMax = 64 * 1024;

export async function startProgramGateway(options: ProgramGatewayOptions): Promise<ProgramGateway> {
  const { settings, workspace, log, telemetry } = options;
  const postgres = openPostgres({
    address: options.postgres,
    applicationName: 'sluice gateway',
    connectTimeoutMs: settings.postgres.connectTimeoutMs,
    statementTimeoutMs: settings.postgres.statementTimeoutMs,
    poolMax,
  });
  const failures = new WebhookFailures({
    postgres,
    sourceById: (sourceId) => workspace.current.sourceById(sourceId),
    replay: (source, request, done) => gateway.replayWebhook(source, request, done),
    bytesMax: settings.gateway.webhookFailureBytesMax,
    metrics: telemetry.metrics,
    log,
  });
  const memory = new MemoryWatch({
    bytesMax: settings.gateway.memoryBytesMax,
    limitBytes: () => memoryLimit(options.process.constrainedMemory()),
    residentBytes: () => options.process.memoryUsage().rss,
    clock: options.seams.clock,
    log,
  });
  memory.start();
  const { jobStatusRetentionMs, webhookFailureRetentionMs } = settings.gateway;
  const { clock } = options.seams;
  const retention = new Retention({ postgres, jobStatusRetentionMs, webhookFailureRetentionMs, clock, log });
  const live = new LiveEvents(options.seams.clock);
  const streams = new LiveStreams({
    live,
    clock: options.seams.clock,
    sourceByWriteKey: (writeKey) => workspace.current.sourceByWriteKey(writeKey),
  });
  const upload = startUpload(options, live);
  const gateway: Gateway = await startGateway({
    ...options,
    live,
    memoryLow: () => memory.isLow,
    newMessageId: randomUUID,
    onWebhookFailed: (failure) => failures.keep(failure),
    jobRuns: createJobRuns({ postgres, drain: (jobRunId) => options.drainJobRun(jobRunId), log }),
  });
  return {
    ...gateway,
    get inFlight() {
      return gateway.inFlight;
    },
    get bytesWaiting() {
      return gateway.bytesWaiting;
    },
    get refusing() {
      return gateway.refusing;
    },
    adminRoutes: [...failures.routes(), streams.route()],
    close: async () => {
      memory.stop();
      streams.close();
      await upload?.close();
      await gateway.close();
      await failures.settled();
      await retention.stop();
      await postgres.close();
    },
  };
}

/** Only where there is a control plane to show them. */
function startUpload(options: ProgramGatewayOptions, live: LiveEvents): { close(): Promise<void> } | undefined {
  const { url, token } = options.settings.backendConfig;
  if (url === '') return undefined;
  const client = new ServiceClient({ name: controlPlaneName, answerBytesMax: uploadAnswerBytesMax, connectionsMax: 1 });
  const { workspace, log, seams } = options;
  const upload = new LiveUpload({ live, workspace, client, url, token, clock: seams.clock, log });
  return {
    close: async () => {
      await upload.close();
      await client.close();
    },
  };
}
