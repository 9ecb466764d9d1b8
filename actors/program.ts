// Composes the running program from its parts, in the order in which they need each other, and takes it apart again
// in the order of the drain: intake, processing, delivery, storage, Postgres.

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import {
  type ActorLog,
  createMetrics,
  createMetricsExport,
  createTracing,
  type MetricsExport,
  type Runtime,
  realSeams,
  recordVitals,
  startRuntime,
  type ThreadTracing,
} from '../runtime/index.ts';
import { workerEntry } from '../transport/index.ts';
import type { AdminServer } from './admin/admin-server.ts';
import { ArchiveStates } from './archival/archive-routes.ts';
import { engineText, lanesText, serverPlace, startBanner } from './banner.ts';
import { DestinationStates } from './controls/destination-states.ts';
import { type Database, openDatabase } from './database.ts';
import { roles } from './definitions.ts';
import { collectMetrics } from './metrics-collect.ts';
import { type ProcessHandlers, processDefinition } from './process-actor.ts';
import { openProgramAdmin } from './program-admin.ts';
import type { Program, ProgramOptions } from './program-contract.ts';
import { type ProgramGateway, startProgramGateway } from './program-gateway.ts';
import { type ProgramIntake, startProgramIntake } from './program-intake.ts';
import { ProgramServices } from './program-services.ts';
import { StartError } from './start-error.ts';
import { LastErrors } from './status.ts';
import { type LeaseStats, type StorageMessage, type StorageStats, storageKind } from './storage/contract.ts';
import { StorageLanes } from './storage-lanes.ts';
import type { ThreadData } from './thread-data.ts';

/** Recovery reads every unfinished dataset once; a start that takes longer than this is given up. */
const storageReadyMs = 120_000;
const storageLookMs = 20;
const databaseLookMs = 2_000;
/** Kept of the drain's deadline for what ends after the actors. */
const endingReserveMs = 3_000;
/** Even a deadline that has passed leaves Postgres the time to be told. */
const databaseStopMsMin = 500;
/** What telemetry may take at the end, when nobody listens any more. */
const telemetryFlushMs = 1_000;

export async function startProgram(options: ProgramOptions): Promise<Program> {
  const program = new RunningProgram(options);
  try {
    await program.start();
    return program;
  } catch (error) {
    await program.drain(0);
    throw error;
  }
}

class RunningProgram implements Program {
  readonly #options: ProgramOptions;
  readonly #log: ActorLog;
  readonly #seams = realSeams();
  readonly #lastErrors = new LastErrors();
  readonly #metrics = createMetrics();
  readonly #services: ProgramServices;
  readonly #destinations = new DestinationStates();
  readonly #archives = new ArchiveStates();
  #database: Database | undefined;
  #databaseUp = true;
  #intake: ProgramIntake | undefined;
  #runtime: Runtime | undefined;
  #storage: StorageLanes | undefined;
  #tracing: ThreadTracing | undefined;
  #metricsExport: MetricsExport | undefined;
  #gateway: ProgramGateway | undefined;
  #admin: AdminServer | undefined;
  #draining = false;
  #drained: Promise<boolean> | undefined;

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.#log = this.#lastErrors.watch(options.log, 'main', () => this.#seams.clock.nowMs());
    this.#services = new ProgramServices({
      options,
      log: this.#log,
      seams: this.#seams,
      metrics: this.#metrics,
    });
  }

  async start(): Promise<void> {
    const { settings } = this.#options;
    const { clock } = this.#seams;
    await this.#services.openBeforeDatabase();
    const tracing = await createTracing({
      environment: this.#options.environment,
      serviceName: 'sluice',
      threadName: 'main',
      log: this.#log,
      clock,
    });
    this.#tracing = tracing;
    const database = await openDatabase(settings, this.#log, clock);
    this.#database = database;
    const runtime = await this.#startRuntime(database);
    this.#runtime = runtime;
    const storage = new StorageLanes(settings.storage.lanes, runtime);
    this.#storage = storage;
    const stats = await this.#awaitStorage(() => storage.stats());
    this.#intake = await startProgramIntake({
      settings: settings.storage,
      dataDirectory: database.dataDirectory,
      storage,
      databaseUp: () => this.#databaseUp,
      metrics: this.#metrics,
      clock,
      log: this.#log,
    });
    this.#metricsExport = await createMetricsExport({
      environment: this.#options.environment,
      serviceName: 'sluice',
      collect: () => this.#collectMetrics(),
      log: this.#log,
      clock,
    });
    if (settings.role !== 'pipeline') this.#gateway = await this.#startGateway(database, runtime, tracing);
    this.#admin = await openProgramAdmin({
      options: { ...this.#options, log: this.#log },
      clock,
      runtime,
      storage,
      lastErrors: this.#lastErrors,
      isDraining: () => this.#draining,
      database: () => this.#database,
      intake: () => this.#intake?.watch,
      services: this.#services,
      destinations: this.#destinations,
      archives: this.#archives,
      egressAllow: this.#egressAllow(),
      metricsExport: () => this.#metricsExport,
      gateway: () => this.#gateway,
    });
    this.#watchDatabase(database);
    for (const warning of database.warnings) this.#log.warn({}, warning);
    this.#options.print(this.#banner(stats, await storage.lease()));
  }

  #startGateway(database: Database, runtime: Runtime, tracing: ThreadTracing): Promise<ProgramGateway> {
    const { settings } = this.#options;
    return startProgramGateway({
      settings,
      version: this.#options.version,
      workspace: this.#services.holder,
      postgres: database.address,
      storage: (lane) => runtime.ref<StorageMessage>(storageKind, lane),
      telemetry: { metrics: this.#metrics, tracing },
      log: this.#log,
      seams: this.#seams,
      databaseUp: () => this.#databaseUp,
      gate: this.#services.events.gate,
      webhookSources: this.#services.events.webhookSources,
      closedReason: () => this.#intake?.watch.closedReason ?? '',
      isWorkspaceFull: (workspaceId) => this.#intake?.watch.isFull(workspaceId) === true,
      process: this.#options.process,
      drainJobRun: (jobRunId) => this.#drainJobRun(jobRunId),
    });
  }

  async reloadWorkspace(): Promise<void> {
    await this.#services.config?.reload();
  }

  drain(deadlineMs: number): Promise<boolean> {
    this.#draining = true;
    if (this.#drained === undefined) this.#drained = this.#drainAll(deadlineMs);
    // Only the runtime waits for work; everything else ends by itself once it does.
    else void this.#runtime?.drain({ deadlineMs });
    return this.#drained;
  }

  /** The field's words for the reason; a run that is drained already needs no second rule. */
  async #drainJobRun(jobRunId: string): Promise<void> {
    const { controls } = this.#services;
    if (controls.current.drains.some((rule) => rule.jobRunId === jobRunId)) return;
    const reason = 'cancelled jobRunId';
    await controls.drain({ jobRunId, reason, destinationId: '', sourceId: '', jobId: 0, receivedBeforeMs: 0 });
  }

  async #startRuntime(database: Database): Promise<Runtime> {
    const { config, controls } = await this.#services.open(database.postgres);
    const { settings } = this.#options;
    const threadData: ThreadData = {
      settings: { ...settings, egress: { ...settings.egress, allow: this.#egressAllow() } },
      postgres: database.address,
      instanceId: `${hostname()}/${this.#options.process.pid}/${randomUUID()}`,
      workspace: config.current,
      controls,
    };
    const runtime = await startRuntime({
      entry: workerEntry('./thread', import.meta.url),
      groups: [
        { role: 'actors', count: settings.threads.actors },
        { role: 'sandbox', count: settings.transformations.threads, deferred: true, expendable: true },
        { role: 'suspects', count: 1, deferred: true, expendable: true },
        { role: 'storage', count: 1, drainOnly: true },
      ],
      roles,
      threadData,
      definitions: [processDefinition(this.#processHandlers())],
      log: this.#log,
      ...(this.#tracing === undefined ? {} : { tracing: this.#tracing }),
      onThreadLost: ({ role }) => {
        // Its consumers are gone without a word: whoever has work is woken again.
        // Nobody else would make the lease actor anew, and without it nothing owns the lanes.
        if (role === 'storage') void this.#storage?.lease().catch(() => undefined);
        if (role !== 'actors') return;
        this.#destinations.forgetDown();
        this.#storage?.tell({ kind: 'wakeAll' });
      },
      onFatal: (error) => this.#options.onFailed(error.message),
    });
    await this.#services.follow(runtime);
    return runtime;
  }

  /** The starter's receiver is on this machine, where deliveries may not go otherwise. */
  #egressAllow(): readonly string[] {
    const { allow } = this.#options.settings.egress;
    return this.#services.receiver === undefined ? allow : [...allow, '127.0.0.0/8'];
  }

  #processHandlers(): ProcessHandlers {
    return {
      onDestinationFound: (found) => this.#destinations.note(found, this.#seams.clock.nowMs()),
      onLiveTold: (told) => this.#services.observers.offer(told),
      onArchiveTold: (told) => this.#archives.note(told, this.#seams.clock.nowMs()),
    };
  }

  async #awaitStorage(ask: () => Promise<StorageStats>): Promise<StorageStats> {
    const { clock } = this.#seams;
    const startedMs = clock.monotonicMs();
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (clock.monotonicMs() - startedMs > storageReadyMs) {
          throw new StartError(
            `The storage actor did not become ready within ${storageReadyMs / 1000} s.`,
            'The log tells what it waits for.',
            undefined,
            error,
          );
        }
        await new Promise<void>((settle) => void clock.setTimer(storageLookMs, settle));
      }
    }
  }

  async #collectMetrics(): Promise<void> {
    if (this.#runtime === undefined || this.#storage === undefined || this.#metricsExport === undefined) return;
    const recordOwnVitals = (): void => {
      this.#intake?.watch.recordMetrics();
      const { rss, heapUsed, heapTotal, external } = this.#options.process.memoryUsage();
      recordVitals(
        this.#metrics,
        { heapUsedBytes: heapUsed, heapTotalBytes: heapTotal, externalBytes: external, eventLoopUtilization: 0 },
        { residentBytes: rss, startedAtSeconds: this.#options.startedAtMs / 1000 },
      );
    };
    await collectMetrics(
      {
        runtime: this.#runtime,
        storage: this.#storage,
        workspace: this.#services.holder,
        metrics: this.#metrics,
        recordOwnVitals,
      },
      this.#metricsExport,
    );
  }

  /** For /health, which must answer at once: what the last look found. */
  #watchDatabase(database: Database): void {
    const look = (): void => {
      if (this.#draining) return;
      database
        .ping()
        .then(
          () => {
            this.#databaseUp = true;
          },
          () => {
            this.#databaseUp = false;
          },
        )
        .finally(() => void this.#seams.clock.setTimer(databaseLookMs, look));
    };
    look();
  }

  #banner(stats: StorageStats, lease: LeaseStats): string {
    const { settings, version, checks, startedAtMs } = this.#options;
    const { config: workspace, receiver } = this.#services;
    const [database, gateway, admin] = [this.#database, this.#gateway, this.#admin];
    if (database === undefined || admin === undefined || workspace === undefined) return '';
    const { path, sources, destinations } = workspace.status();
    const [source] = workspace.current.sources;
    const starter =
      receiver === undefined || source === undefined
        ? {}
        : { starter: { writeKey: source.writeKey, receiverPort: receiver.port } };
    return startBanner({
      version,
      checks: [...checks, `PostgreSQL ${database.server.version} answers (${database.description})`],
      dataDir: resolve(settings.data.dir),
      postgres: {
        ...stats.postgres,
        place: database.dataDirectory ?? serverPlace(settings.postgres.url),
        isEmbedded: database.dataDirectory !== undefined,
      },
      role: settings.role,
      lanes: lanesText(lease),
      ...(gateway === undefined
        ? {}
        : {
            gateway: {
              host: settings.gateway.host,
              port: gateway.port,
              http: engineText(settings.http.engine, gateway),
            },
          }),
      statusUrl: admin.url,
      workspace: { path, sources, destinations },
      ...starter,
      startMs: this.#seams.clock.nowMs() - startedAtMs,
    });
  }

  async #drainAll(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#seams;
    const startedMs = clock.monotonicMs();
    // The threads, the servers and Postgres end after the actors, and within the same deadline.
    const reserveMs = Math.min(endingReserveMs, deadlineMs / 5);
    const leftMs = (): number => Math.max(0, deadlineMs - (clock.monotonicMs() - startedMs));
    this.#gateway?.refuse();
    await this.#intake?.stop();
    await this.#services.refuse();
    await this.#within(leftMs(), this.#gateway?.idle());
    // The last figures are collected from the threads while they are still there.
    await this.#metricsExport?.shutdown(telemetryFlushMs);
    const outcome = await this.#runtime?.drain({ deadlineMs: Math.max(0, leftMs() - reserveMs) });
    for (const unfinished of outcome?.unfinished ?? []) this.#log.warn({ unfinished }, 'not finished at the deadline');
    await this.#runtime?.stop();
    // Both may have asked a PostgreSQL that is frozen.
    await this.#within(Math.max(databaseStopMsMin, leftMs()), this.#gateway?.close());
    await this.#admin?.close();
    await this.#within(Math.max(databaseStopMsMin, leftMs()), this.#services.close());
    await this.#tracing?.shutdown(telemetryFlushMs);
    const isDatabaseStopped = await this.#within(Math.max(databaseStopMsMin, leftMs()), this.#database?.stop());
    if (!isDatabaseStopped) this.#log.warn({}, 'PostgreSQL did not stop in time; the next start adopts it if it runs');
    return isDatabaseStopped && (outcome?.clean ?? true);
  }

  /** Waits for `work`, but not beyond the deadline; false: it is not done. */
  async #within(ms: number, work: Promise<void> | undefined): Promise<boolean> {
    if (work === undefined) return true;
    const late = new Promise<boolean>((settle) => void this.#seams.clock.setTimer(ms, () => settle(false)));
    return await Promise.race([work.then(() => true), late]);
  }
}
