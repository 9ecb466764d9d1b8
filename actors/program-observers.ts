// What the running program does with what its stages tell beside the main path: gathers it, sends it on, forgets it when
// it is old, and shows it at the admin server. It does nothing while nothing is wanted of any source.

import { randomUUID } from 'node:crypto';
import type { ActorLog, Seams, ThreadMetrics } from '../runtime/index.ts';
import type { Postgres } from '../transport/index.ts';
import type { AdminRoute } from './admin/contract.ts';
import type { Settings } from './config.ts';
import { minuteOf } from './observations/contract.ts';
import { ObservationLog } from './observations/observation-log.ts';
import { ObservedSources } from './observations/observing.ts';
import { reportRoutes } from './reporting/report-routes.ts';
import { ReportSender } from './reporting/report-sender.ts';
import { PollLoop } from './services/poll-loop.ts';
import { ServiceClient } from './services/service-client.ts';
import type { ServiceHealth, Services } from './services/service-health.ts';
import type { WorkspaceHolder } from './services/workspace.ts';

export interface ObserversParts {
  settings: Settings;
  services: Services;
  postgres: Postgres;
  workspace: WorkspaceHolder;
  /** Names this machine in reports. */
  instanceId: string;
  log: ActorLog;
  seams: Seams;
  metrics: ThreadMetrics;
}

export interface Observers {
  routes: AdminRoute[];
  close(): Promise<void>;
}

const gatherMs = 5_000;
const sendMs = 5_000;
const answerBytesMax = 64 * 1024;
const connectionsMax = 8;
/** Beyond the minutes in which a table is written to. */
const idleRoundsMax = 60;
/** After every so many rounds, what is old is forgotten. */
const roundsPerRetention = 60;

export function startObservers(parts: ObserversParts): Observers {
  const { settings, postgres, seams, workspace, services } = parts;
  const { clock, random } = seams;
  const log = new ObservationLog(postgres, randomUUID(), () => clock.nowMs());
  const sources = new ObservedSources(settings);
  const sender = createSender(parts, log);
  let health: ServiceHealth | undefined;
  let rounds = 0;
  let idleRounds = 0;
  const gathering = new PollLoop({
    everyMs: gatherMs,
    clock,
    random,
    run: async () => {
      const isWanted = sources.isAny(workspace.current);
      // What was told before it was switched off is gathered too.
      if (!isWanted && idleRounds > idleRoundsMax) return true;
      const found = await log.gather();
      idleRounds = isWanted || found ? 0 : idleRounds + 1;
      if (idleRounds > 0) return true;
      health ??= services.begin('observations');
      rounds += 1;
      if (rounds % roundsPerRetention === 1) {
        await log.forgetBefore('report', minuteOf(clock.nowMs() - settings.reporting.retentionMs));
      }
      health.succeeded();
      return true;
    },
    onError: (error) => {
      health ??= services.begin('observations');
      health.failed(error instanceof Error ? error.message : String(error));
    },
  });
  gathering.start();
  sender?.start();
  return {
    routes: reportRoutes({ postgres, nowMs: () => clock.nowMs() }),
    close: async () => {
      await gathering.close();
      await sender?.close();
    },
  };
}

function createSender({ settings, services, instanceId, seams }: ObserversParts, log: ObservationLog) {
  const { url, username, password, timeoutMs } = settings.reporting;
  if (url === '') return undefined;
  const { clock, random } = seams;
  const client = new ServiceClient({ name: 'the reporting service', answerBytesMax, connectionsMax });
  const sender = new ReportSender({
    log,
    client,
    url,
    username,
    password,
    timeoutMs,
    instanceId,
    namespace: settings.backendConfig.namespace,
    everyMs: sendMs,
    health: services.begin('reporting'),
    clock,
    random,
  });
  return {
    start: () => sender.start(),
    close: async () => {
      await sender.close();
      await client.close();
    },
  };
}
