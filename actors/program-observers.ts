// What the running program does with what its stages tell beside the main path: gathers it, makes schemas and numbers of
// users of it, sends it on, forgets it when it is old, and shows it at the admin server. While nothing is wanted of any
// source it does nothing.

import { randomUUID } from 'node:crypto';
import type { ActorLog, Seams } from '../runtime/index.ts';
import type { Postgres } from '../transport/index.ts';
import type { AdminRoute } from './admin/contract.ts';
import type { Settings } from './config.ts';
import { type LiveTold, watchedTopic } from './debugger/contract.ts';
import { DebugUpload } from './debugger/debug-upload.ts';
import { LiveHub } from './debugger/live-hub.ts';
import { minuteOf } from './observations/contract.ts';
import { ObservationLog } from './observations/observation-log.ts';
import { ObservedSources } from './observations/observing.ts';
import { reportRoutes } from './reporting/report-routes.ts';
import { ReportSender } from './reporting/report-sender.ts';
import { EventSchemas } from './schemas/event-schemas.ts';
import { forwardSchemas, httpSchemaSink } from './schemas/schema-forwarder.ts';
import { schemaRoutes } from './schemas/schema-routes.ts';
import { controlPlaneName } from './services/control-plane.ts';
import { PollLoop } from './services/poll-loop.ts';
import { ServiceClient } from './services/service-client.ts';
import type { ServiceHealth, Services } from './services/service-health.ts';
import type { WorkspaceHolder } from './services/workspace.ts';
import { TrackedUsersStore } from './tracked-users/tracked-users.ts';
import { reportUsers } from './tracked-users/users-reporter.ts';
import { usersRoutes } from './tracked-users/users-routes.ts';

export interface ObserversParts {
  settings: Settings;
  services: Services;
  postgres: Postgres;
  workspace: WorkspaceHolder;
  /** Names this machine in reports. */
  instanceId: string;
  log: ActorLog;
  seams: Seams;
}

export interface Observers {
  routes: AdminRoute[];
  /** What threads saw of what is watched. */
  offer(told: LiveTold): void;
  /** From now on threads are told what is watched. */
  follow(broadcast: (topic: string, value: unknown) => Promise<void>): void;
  close(): Promise<void>;
}

const gatherMs = 5_000;
const sendMs = 5_000;
const usersMs = 60_000;
const msPerHour = 3_600_000;
const answerBytesMax = 64 * 1024;
const connectionsMax = 8;
/** Beyond the minutes in which a table is written to. */
const idleRoundsMax = 60;
/** After every so many rounds, what is old is forgotten. */
const roundsPerRetention = 60;

export function startObservers(parts: ObserversParts): Observers {
  const { settings, postgres, seams, workspace } = parts;
  const nowMs = (): number => seams.clock.nowMs();
  const log = new ObservationLog(postgres, randomUUID(), nowMs);
  const sources = new ObservedSources(settings);
  const users = new TrackedUsersStore(log);
  const { keysMax, schemasMax } = settings.eventSchemas;
  const schemas = new EventSchemas({ log, keysMax, schemasMax });
  const senders = createSenders(parts, { log, users, schemas });
  const live = startDebugger(parts);
  let rounds = 0;
  let idleRounds = 0;
  const gathering = loopOf(parts, 'observations', gatherMs, async (health) => {
    const isWanted = sources.isAny(workspace.current);
    // What was told before it was switched off is gathered too.
    if (!isWanted && idleRounds > idleRoundsMax) return;
    const found = await log.gather();
    idleRounds = isWanted || found ? 0 : idleRounds + 1;
    if (idleRounds > 0) return;
    await users.takeOver();
    await schemas.takeOver();
    rounds += 1;
    if (rounds % roundsPerRetention === 1) {
      await log.forgetBefore('report', minuteOf(nowMs() - settings.reporting.retentionMs));
      await users.forgetBefore(Math.floor((nowMs() - settings.trackedUsers.retentionMs) / msPerHour));
    }
    health();
  });
  return {
    routes: [
      ...reportRoutes({ postgres, nowMs }),
      ...usersRoutes(users, nowMs),
      ...schemaRoutes(schemas),
      ...live.hub.routes(workspace),
    ],
    offer: (told) => live.hub.offer(told),
    follow: (broadcast) =>
      // A thread that did not take it gets it when it is replaced; nothing depends on it.
      live.hub.follow((watched) => void broadcast(watchedTopic, watched).catch(() => undefined)),
    close: async () => {
      await gathering.close();
      await live.close();
      await senders.close();
    },
  };
}

interface Told {
  log: ObservationLog;
  users: TrackedUsersStore;
  schemas: EventSchemas;
}

/** Only of what has somewhere to go. */
function createSenders(parts: ObserversParts, { log, users, schemas }: Told): { close(): Promise<void> } {
  const { settings, services, instanceId, seams } = parts;
  const { clock, random } = seams;
  const { url, username, password, timeoutMs } = settings.reporting;
  const open: { close(): Promise<void> }[] = [];
  const clientOf = (name: string): ServiceClient => new ServiceClient({ name, answerBytesMax, connectionsMax });
  if (url !== '') {
    const client = clientOf('the reporting service');
    const authorization = username === '' ? '' : `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const common = { client, url, authorization, timeoutMs, instanceId };
    const { namespace } = settings.backendConfig;
    const health = services.begin('reporting');
    const sender = new ReportSender({ ...common, log, namespace, everyMs: sendMs, health, clock, random });
    sender.start();
    const reporter = loopOf(parts, 'tracked-users', usersMs, async (ownHealth) => {
      await reportUsers({ ...common, store: users, nowMs: () => clock.nowMs() });
      ownHealth();
    });
    open.push(sender, reporter, client);
  }
  const { forwardUrl } = settings.eventSchemas;
  if (forwardUrl !== '') {
    const client = clientOf('the sink of event schemas');
    const sink = httpSchemaSink(client, forwardUrl, timeoutMs);
    const forwarder = loopOf(parts, 'event-schemas', sendMs, async (health) => {
      await forwardSchemas(schemas, sink);
      health();
    });
    open.push(forwarder, client);
  }
  return {
    close: async () => {
      for (const one of open) await one.close();
    },
  };
}

/** The upload only where there is a control plane to show it. */
function startDebugger({ settings, workspace, seams, log }: ObserversParts): { hub: LiveHub; close(): Promise<void> } {
  const { clock } = seams;
  const hub = new LiveHub(clock);
  const { url, token } = settings.backendConfig;
  if (url === '') return { hub, close: () => Promise.resolve(hub.close()) };
  const client = new ServiceClient({ name: controlPlaneName, answerBytesMax, connectionsMax: 1 });
  const upload = new DebugUpload({ hub, workspace, client, url, token, clock, log });
  return {
    hub,
    close: async () => {
      hub.close();
      await upload.close();
      await client.close();
    },
  };
}

/** Its health is in the status once `run` has asked for it, or has failed. */
function loopOf(
  { services, seams }: ObserversParts,
  name: string,
  everyMs: number,
  run: (health: () => ServiceHealth) => Promise<void>,
): PollLoop {
  const { clock, random } = seams;
  let known: ServiceHealth | undefined;
  const health = (): ServiceHealth => {
    known ??= services.begin(name);
    return known;
  };
  const loop = new PollLoop({
    everyMs,
    clock,
    random,
    run: async () => {
      await run(health);
      known?.succeeded();
      return true;
    },
    onError: (error) => health().failed(error instanceof Error ? error.message : String(error)),
  });
  loop.start();
  return loop;
}
