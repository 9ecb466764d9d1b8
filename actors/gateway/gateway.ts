// The gateway: the HTTP edge of the main thread. It is not an actor, because it owns sockets; it puts its parts
// together, talks to the storage actors, and drains in three steps: refuse, idle, close.

import type { ActorLog, ActorRef, Seams, Telemetry } from '../../runtime/index.ts';
import { type HttpEngine, type HttpServer, listenHttp } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import type { EventGate } from '../services/event-gate.ts';
import type { WebhookRequest, WebhookSources } from '../services/webhook-sources.ts';
import type { SourceConfig, WorkspaceHolder } from '../services/workspace.ts';
import type { StorageMessage } from '../storage/contract.ts';
import { Admission } from './admission.ts';
import { type Answer, answers, jsonAnswer } from './answers.ts';
import { WriteKeyAuth } from './auth.ts';
import { BatchThrottle } from './batch-throttle.ts';
import { ClientAddresses } from './client-address.ts';
import { EventRows } from './event-rows.ts';
import { Gunzipper } from './gunzip.ts';
import { Ingest } from './ingest.ts';
import { InternalMessages } from './internal-messages.ts';
import type { JobRuns } from './job-runs.ts';
import type { LiveEvents } from './live-events.ts';
import { OtherRoutes } from './other-routes.ts';
import { Routes, requestHeaderNames } from './routes.ts';
import { StoreBatcher } from './store-batcher.ts';
import { isWebhookPath, type WebhookFailure, WebhookRoute } from './webhook-route.ts';

export interface GatewayOptions {
  settings: Settings;
  workspace: WorkspaceHolder;
  /** The storage actor of a lane (storage/contract.ts). */
  storage(lane: string): ActorRef<StorageMessage>;
  telemetry: Telemetry;
  log: ActorLog;
  seams: Pick<Seams, 'clock' | 'executor'>;
  /** A new UUIDv4, for events that came without a messageId. */
  newMessageId(): string;
  /** Whether Postgres answers; asked by /health. */
  databaseUp(): boolean;
  /** Why every event is answered 503 now (the disk, a full queue); '' when it is not. */
  closedReason(): string;
  /** Too much of this workspace waits: its events are answered 429. */
  isWorkspaceFull(workspaceId: string): boolean;
  /** The process has nearly used up its memory: the same. */
  memoryLow(): boolean;
  /** Of the program. */
  version: string;
  webhookSources: WebhookSources;
  /** What the services say about events before they are stored. */
  gate: EventGate;
  onWebhookFailed(failure: WebhookFailure): void;
  jobRuns: JobRuns;
  live: LiveEvents;
}

export interface Gateway {
  readonly port: number;
  readonly engine: HttpEngine;
  /** Why `auto` fell back to node:http; '' when it did not. */
  readonly fallbackReason: string;
  readonly inFlight: number;
  /** Row bytes that wait for a commit. */
  readonly bytesWaiting: number;
  /** Why new events are answered 503 now; '' when they are not. */
  readonly refusing: string;
  /** A webhook that failed before, once more. */
  replayWebhook(source: SourceConfig, request: WebhookRequest, done: (answer: Answer) => void): void;
  /** New requests are answered 503 from now on; those in flight are finished. */
  refuse(): void;
  /** Resolves when every accepted request is answered. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** Rejects with TransportError PORT_IN_USE, LISTEN_FAILED or HTTP_ENGINE_UNAVAILABLE. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { settings, log } = options;
  const parts = createParts(options);
  const { batcher, admission, routes, webhook } = parts;
  const server = await listenHttp({
    host: settings.gateway.host,
    port: settings.gateway.port,
    engine: settings.http.engine,
    headerNames: requestHeaderNames,
    keepsAllHeaders: isWebhookPath,
    bodyBytesMax: settings.gateway.requestBytesMax,
    bodyBytesInFlightMax: Math.max(settings.gateway.storeBytesMax, settings.gateway.requestBytesMax),
    requestsInFlightMax: settings.gateway.requestsInFlightMax,
    bodyTimeoutMs: settings.gateway.bodyTimeoutMs,
    headersTimeoutMs: settings.gateway.headersTimeoutMs,
    keepAliveTimeoutMs: settings.gateway.keepAliveTimeoutMs,
    proxyProtocol: settings.gateway.proxyProtocol,
    ...(settings.gateway.tlsCertFile === ''
      ? {}
      : { tls: { certFile: settings.gateway.tlsCertFile, keyFile: settings.gateway.tlsKeyFile } }),
    handler: (request, respond) => routes.handle(request, respond),
    onHandlerError: (error) => log.error({ error }, 'expected a request to be handled without an error'),
  });
  announce(server, log);
  return {
    port: server.port,
    engine: server.engine,
    fallbackReason: server.fallbackReason,
    get inFlight() {
      return server.inFlight;
    },
    get bytesWaiting() {
      return batcher.bytesWaiting;
    },
    get refusing() {
      return admission.reason;
    },
    replayWebhook: (source, request, done) => webhook.replay(source, request, done),
    refuse: () => server.refuse(),
    idle: () => server.idle(),
    close: () => server.close(),
  };
}

interface Parts {
  batcher: StoreBatcher;
  admission: Admission;
  routes: Routes;
  webhook: WebhookRoute;
}

function createAdmission(options: GatewayOptions): Admission {
  return new Admission({
    clock: options.seams.clock,
    lagMsMax: options.settings.gateway.commitLagMsMax,
    reasons: [() => options.closedReason(), () => (options.memoryLow() ? 'memory is nearly used up' : '')],
  });
}

function createBatchThrottle({ settings, seams }: GatewayOptions): BatchThrottle {
  const { internalBatchEventsMax: events, internalBatchWindowMs: windowMs } = settings.gateway;
  return new BatchThrottle({ events, windowMs }, seams.clock);
}

function createParts(options: GatewayOptions): Parts {
  const { settings, workspace, telemetry, seams, log } = options;
  const { clock } = seams;
  const admission = createAdmission(options);
  const batcher = new StoreBatcher({
    storage: (lane) => options.storage(lane),
    atTurnEnd: (run) => seams.executor.nextTurn(run),
    timeoutMs: settings.gateway.storeTimeoutMs,
    bytesMax: settings.gateway.storeBytesMax,
    admission,
    log,
  });
  const auth = new WriteKeyAuth(workspace);
  const addresses = new ClientAddresses(settings.gateway.trustedProxies);
  const scanLimits = { eventsMax: settings.gateway.batchEventsMax, depthMax: settings.gateway.jsonDepthMax };
  const ingest = new Ingest({
    settings,
    batcher,
    admission,
    gate: options.gate,
    isWorkspaceFull: (workspaceId) => options.isWorkspaceFull(workspaceId),
    addresses,
    live: options.live,
    auth,
    log,
    clock,
    gunzipper: new Gunzipper(settings.gateway.requestBytesMax),
    rows: new EventRows({
      allowEventsWithoutIdentity: settings.gateway.allowEventsWithoutIdentity,
      newMessageId: () => options.newMessageId(),
      limits: { ...scanLimits, eventBytesMax: settings.gateway.eventBytesMax },
    }),
    tracing: telemetry.tracing,
  });
  const webhook = new WebhookRoute({
    auth,
    ingest,
    addresses,
    sources: options.webhookSources,
    onFailed: (failure) => options.onWebhookFailed(failure),
  });
  const others = new OtherRoutes({
    auth,
    ingest,
    webhook,
    workspace,
    clock,
    jobRuns: options.jobRuns,
    internalBatch: {
      batcher,
      ingest,
      gate: options.gate,
      isWorkspaceFull: (id) => options.isWorkspaceFull(id),
      messages: new InternalMessages(scanLimits),
    },
    batchThrottle: createBatchThrottle(options),
    adminToken: settings.admin.token,
    requiresDestinationId: settings.gateway.requireDestinationIdHeader,
    health: () => health(options),
    version: () => version(options),
  });
  const routes = new Routes({
    ingest,
    others: (found, request, answerWith) => others.serve(found, request, answerWith),
    internalOpen: settings.admin.token !== '',
    metrics: telemetry.metrics,
    clock,
  });
  return { batcher, admission, routes, webhook };
}

/** Names and form of the reference; SDKs look for the feature. */
function version({ version: Version }: GatewayOptions): Answer {
  return jsonAnswer({ Version, Commit: '', BuildDate: '', BuiltBy: 'sluice', Features: ['gzip-req-payload'] });
}

function announce(server: HttpServer, log: ActorLog): void {
  const { engine, port, fallbackReason } = server;
  if (fallbackReason !== '') log.warn({ reason: fallbackReason }, 'the gateway runs on node:http, the slower engine');
  log.info({ engine, port }, 'the gateway listens');
}

/** Field names and values of the reference, which health checks out there parse. */
function health({ workspace, databaseUp, settings }: GatewayOptions): Answer {
  if (!databaseUp()) return answers.noDatabase;
  return jsonAnswer({
    appType: 'EMBEDDED',
    server: 'UP',
    db: 'UP',
    acceptingEvents: 'TRUE',
    routingEvents: 'TRUE',
    mode: 'NORMAL',
    backendConfigMode: settings.backendConfig.url === '' ? 'JSON' : 'API',
    lastSync: new Date(workspace.current.snapshot.loadedAtMs).toISOString(),
  });
}
