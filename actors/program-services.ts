// The services of the running program: the configuration it follows, and what stands beside the gateway. They are
// opened and closed here so that program.ts need not know each of them; none of them can hold up a start or a drain.

import { hostname } from 'node:os';
import type { ActorLog, Runtime, Seams, ThreadMetrics } from '../runtime/index.ts';
import type { Postgres } from '../transport/index.ts';
import { closedAddressProblems } from './closed-addresses.ts';
import type { Controls } from './controls/contract.ts';
import { DestinationControls } from './controls/controls.ts';
import type { ProgramOptions } from './program-contract.ts';
import { type EventServices, startEventServices } from './program-event-services.ts';
import { type Observers, startObservers } from './program-observers.ts';
import {
  type OpenedWorkspace,
  openWorkspaceOfControlPlane,
  openWorkspaceOfFile,
  usesControlPlane,
  type WorkspaceParts,
} from './program-workspace.ts';
import { RefusedDestinations } from './refused-destinations.ts';
import type { BackendConfig } from './services/backend-config.ts';
import { type ServiceStatus, Services } from './services/service-health.ts';
import type { StarterReceiver } from './services/starter-receiver.ts';
import { type SourceConfig, WorkspaceHolder, type WorkspaceSnapshot } from './services/workspace.ts';
import { WorkspaceBroadcast } from './services/workspace-broadcast.ts';
import type { WorkspaceSetChange } from './services/workspace-set.ts';

export interface ProgramServicesOptions {
  options: ProgramOptions;
  log: ActorLog;
  seams: Seams;
  metrics: ThreadMetrics;
}

export class ProgramServices {
  /** The configuration as the main thread has it. */
  readonly holder = new WorkspaceHolder();
  readonly refused: RefusedDestinations;
  readonly #parts: ProgramServicesOptions;
  readonly #services: Services;
  #controls: DestinationControls | undefined;
  #events: EventServices | undefined;
  #observers: Observers | undefined;
  #workspace: OpenedWorkspace | undefined;
  #broadcast: WorkspaceBroadcast | undefined;
  #runtime: Runtime | undefined;

  constructor(parts: ProgramServicesOptions) {
    this.#parts = parts;
    const { log, metrics, seams } = parts;
    this.refused = new RefusedDestinations(parts.options.settings.transformer);
    this.#services = new Services({ clock: seams.clock, log, metrics });
  }

  get config(): BackendConfig | undefined {
    return this.#workspace?.config;
  }

  /** Only of the starter workspace. */
  get receiver(): StarterReceiver | undefined {
    return this.#workspace?.receiver;
  }

  /** What operators decided about destinations; there once `open` has resolved. */
  get controls(): DestinationControls {
    if (this.#controls === undefined) throw new Error('expected the services to be open');
    return this.#controls;
  }

  /** What the gateway asks about events; there once `open` has resolved. */
  get events(): EventServices {
    if (this.#events === undefined) throw new Error('expected the services to be open');
    return this.#events;
  }

  /** What looks on beside the main path; there once `open` has resolved. */
  get observers(): Observers {
    if (this.#observers === undefined) throw new Error('expected the services to be open');
    return this.#observers;
  }

  get isConfigured(): boolean {
    return this.holder.current.snapshot.version > 0;
  }

  status(): ServiceStatus[] {
    return this.#services.status();
  }

  /** What can be wrong without a database is found before one is started. Rejects with WorkspaceFileError. */
  async openBeforeDatabase(): Promise<void> {
    if (!usesControlPlane(this.#parts.options.settings)) {
      this.#workspace = await openWorkspaceOfFile(this.#workspaceParts());
    }
  }

  /** The configuration and the controls that the threads are started with. */
  async open(postgres: Postgres): Promise<{ config: BackendConfig; controls: Controls }> {
    this.#workspace ??= await openWorkspaceOfControlPlane(
      this.#workspaceParts(),
      postgres,
      this.#services.begin('backend-config'),
    );
    const { seams, log, metrics, options } = this.#parts;
    const { clock, random } = seams;
    this.#events = startEventServices({
      settings: options.settings,
      services: this.#services,
      postgres,
      log,
      seams,
      metrics,
      version: options.version,
      workspaceId: () => this.holder.current.snapshot.sources[0]?.workspaceId ?? '',
    });
    this.#observers = startObservers({
      settings: options.settings,
      services: this.#services,
      postgres,
      workspace: this.holder,
      instanceId: hostname(),
      log,
      seams,
    });
    const health = this.#services.begin('controls');
    this.#controls = new DestinationControls({ postgres, health, clock, random, log });
    return { config: this.#workspace.config, controls: await this.#controls.open() };
  }

  /** Every thread gets the configuration as it is now, and each later version. */
  async follow(runtime: Runtime): Promise<void> {
    const send = (topic: string, value: unknown, lasting?: unknown) => runtime.broadcast(topic, value, lasting);
    this.#broadcast = new WorkspaceBroadcast(send, this.#parts.log);
    // A version that came in between is newer than what the threads were started with.
    if (this.config !== undefined) await this.#broadcast.send(this.config.current, undefined);
    await this.#controls?.follow(send);
    this.#observers?.follow((topic, value) => runtime.broadcast(topic, value));
    this.#runtime = runtime;
    this.#startSandboxes(this.holder.current.snapshot.sources);
  }

  /** Their threads are needed from the first transformation on, and nobody waits for them. */
  #startSandboxes(sources: readonly SourceConfig[]): void {
    const areNeeded = sources.some(({ transformationSetup }) => transformationSetup !== undefined);
    if (!areNeeded) return;
    void this.#runtime?.startGroup('sandbox');
    void this.#runtime?.startGroup('suspects');
  }

  /** First step of the drain: nothing new comes from outside. */
  async refuse(): Promise<void> {
    await this.#workspace?.config.close();
    await this.#controls?.close();
  }

  /** Last step, when no event is under way any more. */
  async close(): Promise<void> {
    await this.#observers?.close();
    await this.#events?.close();
    await this.#workspace?.receiver?.close();
  }

  #workspaceParts(): WorkspaceParts {
    const { options, log, seams } = this.#parts;
    return { options, log, seams, onSnapshot: (snapshot, change) => this.#publish(snapshot, change) };
  }

  #publish(snapshot: WorkspaceSnapshot, change: WorkspaceSetChange | undefined): void {
    this.holder.publish(snapshot);
    this.#startSandboxes(change?.sources ?? snapshot.sources);
    const nowMs = this.#parts.seams.clock.nowMs();
    const problems =
      change === undefined ? this.refused.replace(snapshot.sources, nowMs) : this.refused.apply(change, nowMs);
    const { egress, workspace, backendConfig } = this.#parts.options.settings;
    // The receiver of the starter workspace is on this machine.
    const isStarter = workspace.file === '' && backendConfig.url === '';
    const allow = isStarter ? [...egress.allow, '127.0.0.0/8'] : egress.allow;
    problems.push(...closedAddressProblems(change?.sources ?? snapshot.sources, allow));
    for (const problem of problems) this.#parts.log.warn({}, problem);
    void this.#broadcast?.send(snapshot, change);
  }
}
