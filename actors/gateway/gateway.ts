// The gateway: the HTTP edge of the main thread. It is not an actor, because it owns sockets; it puts its parts
// together, talks to the storage actors, and drains in three steps: refuse, idle, close.

import type { ActorLog, ActorRef, Seams, Telemetry } from '../../runtime/index.ts';
import { type HttpEngine, type HttpServer, listenHttp } from '../../transport/index.ts';
import type { Settings } from '../config.ts';
import type { WorkspaceHolder } from '../services/workspace.ts';
import type { StorageMessage } from '../storage/contract.ts';
import { type Answer, answers, jsonAnswer } from './answers.ts';
import { WriteKeyAuth } from './auth.ts';
import { EventRows } from './event-rows.ts';
import { Gunzipper } from './gunzip.ts';
import { Ingest } from './ingest.ts';
import { Routes, requestHeaderNames } from './routes.ts';
import { StoreBatcher } from './store-batcher.ts';

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
  /** The disk has no room for more events: they are answered 503. */
  diskLow(): boolean;
}

export interface Gateway {
  readonly port: number;
  readonly engine: HttpEngine;
  /** Why `auto` fell back to node:http; '' when it did not. */
  readonly fallbackReason: string;
  readonly inFlight: number;
  /** Row bytes that wait for a commit. */
  readonly bytesWaiting: number;
  /** New requests are answered 503 from now on; those in flight are finished. */
  refuse(): void;
  /** Resolves when every accepted request is answered. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** Rejects with TransportError PORT_IN_USE, LISTEN_FAILED or HTTP_ENGINE_UNAVAILABLE. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { settings, log, telemetry } = options;
  const batcher = new StoreBatcher({
    storage: (lane) => options.storage(lane),
    atTurnEnd: (run) => options.seams.executor.nextTurn(run),
    timeoutMs: settings.gateway.storeTimeoutMs,
    bytesMax: settings.gateway.storeBytesMax,
    log,
  });
  const routes = new Routes({
    ingest: createIngest(options, batcher),
    health: () => health(options),
    metrics: telemetry.metrics,
    clock: options.seams.clock,
  });
  const server = await listenHttp({
    host: settings.gateway.host,
    port: settings.gateway.port,
    engine: settings.http.engine,
    headerNames: requestHeaderNames,
    bodyBytesMax: settings.gateway.requestBytesMax,
    bodyBytesInFlightMax: Math.max(settings.gateway.storeBytesMax, settings.gateway.requestBytesMax),
    requestsInFlightMax: settings.gateway.requestsInFlightMax,
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
    refuse: () => server.refuse(),
    idle: () => server.idle(),
    close: () => server.close(),
  };
}

function createIngest(options: GatewayOptions, batcher: StoreBatcher): Ingest {
  const { settings, workspace, telemetry, seams, log } = options;
  return new Ingest({
    settings,
    batcher,
    log,
    diskLow: () => options.diskLow(),
    auth: new WriteKeyAuth(workspace),
    gunzipper: new Gunzipper(settings.gateway.requestBytesMax),
    rows: new EventRows({
      allowEventsWithoutIdentity: settings.gateway.allowEventsWithoutIdentity,
      newMessageId: () => options.newMessageId(),
    }),
    tracing: telemetry.tracing,
    clock: seams.clock,
  });
}

function announce(server: HttpServer, log: ActorLog): void {
  const { engine, port, fallbackReason } = server;
  if (fallbackReason !== '') log.warn({ reason: fallbackReason }, 'the gateway runs on node:http, the slower engine');
  log.info({ engine, port }, 'the gateway listens');
}

/** Field names and values of the reference, which health checks out there parse. */
function health({ workspace, databaseUp }: GatewayOptions): Answer {
  if (!databaseUp()) return answers.noDatabase;
  return jsonAnswer({
    appType: 'EMBEDDED',
    server: 'UP',
    db: 'UP',
    acceptingEvents: 'TRUE',
    routingEvents: 'TRUE',
    mode: 'NORMAL',
    backendConfigMode: 'JSON',
    lastSync: new Date(workspace.current.snapshot.loadedAtMs).toISOString(),
  });
}
