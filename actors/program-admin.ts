// The admin server of the running program: which probes make it ready, what its status is collected from, and which
// parts of the program bring routes of their own.

import { randomUUID } from 'node:crypto';
import { type Clock, type MetricsExport, type Runtime, realSeams } from '../runtime/index.ts';
import { type AdminServer, openAdminServer } from './admin/admin-server.ts';
import type { AdminRoute, ReadinessProbe } from './admin/contract.ts';
import { type ArchiveStates, archiveRoutes } from './archival/archive-routes.ts';
import { blockedRoutes } from './blocked-routes.ts';
import type { DestinationStates } from './controls/destination-states.ts';
import { destinationRoutes } from './controls/routes.ts';
import type { Database } from './database.ts';
import { deadLetterRoutes } from './dead-letter-routes.ts';
import type { IntakeWatch } from './intake-watch.ts';
import { jobRoutes } from './job-routes.ts';
import type { ProgramOptions } from './program-contract.ts';
import type { ProgramGateway } from './program-gateway.ts';
import type { ProgramServices } from './program-services.ts';
import { sendTest } from './router/test-send.ts';
import { collectStatus, type LastErrors } from './status.ts';
import type { StorageLanes } from './storage-lanes.ts';

/** What the program is made of, as far as its admin server speaks of it; parts come and go while it runs. */
export interface ProgramParts {
  options: ProgramOptions;
  clock: Clock;
  runtime: Runtime;
  storage: StorageLanes;
  lastErrors: LastErrors;
  isDraining(): boolean;
  database(): Database | undefined;
  intake(): IntakeWatch | undefined;
  services: ProgramServices;
  destinations: DestinationStates;
  archives: ArchiveStates;
  egressAllow: readonly string[];
  metricsExport(): MetricsExport | undefined;
  gateway(): ProgramGateway | undefined;
}

export function openProgramAdmin(parts: ProgramParts): Promise<AdminServer> {
  const { settings, version, startedAtMs, log, process: own } = parts.options;
  const { runtime, storage, clock, lastErrors } = parts;
  const program = { version, nodeVersion: own.version, pid: own.pid, startedAtMs };
  return openAdminServer({
    host: settings.admin.host,
    port: settings.admin.port,
    token: settings.admin.token,
    log,
    clock,
    probes: probesOf(parts),
    routes: routesOf(parts),
    status: () =>
      collectStatus({
        runtime,
        storage,
        clock,
        program,
        workspace: () => workspaceStatus(parts),
        index: () => parts.services.holder.current,
        intake: () => parts.intake(),
        services: () => parts.services.status(),
        destinations: () => [
          ...parts.services.refused.list(),
          ...parts.destinations.list(parts.services.controls.current),
        ],
        lastErrors,
      }),
    metrics: (request, response) => parts.metricsExport()?.metricsHandler(request, response),
  });
}

/** Routes of the parts, each made by the part itself. */
function routesOf({
  services,
  storage,
  destinations,
  archives,
  options,
  egressAllow,
  clock,
  database,
  gateway,
}: ProgramParts): AdminRoute[] {
  const { settings } = options;
  return [
    ...jobRoutes((wanted) => storage.lookUp(wanted)),
    ...blockedRoutes({ postgres: () => database()?.postgres, controls: services.controls }),
    ...deadLetterRoutes({
      postgres: () => database()?.postgres,
      commit: (lane, commit) => storage.commit(lane, commit),
    }),
    ...services.events.routes,
    ...services.observers.routes,
    ...archiveRoutes({
      states: archives,
      workspace: services.holder,
      settings,
      controls: services.controls,
      queues: async () => (await storage.stats()).queues,
    }),
    ...(gateway()?.adminRoutes ?? []),
    ...destinationRoutes({
      controls: services.controls,
      workspace: services.holder,
      states: () => destinations.list(services.controls.current),
      test: (destination, event) =>
        sendTest(destination, event, {
          settings: { ...settings, egress: { ...settings.egress, allow: egressAllow } },
          clock,
          random: realSeams().random,
          newMessageId: randomUUID,
        }),
    }),
  ];
}

function probesOf(parts: ProgramParts): ReadinessProbe[] {
  return [
    {
      name: 'gateway',
      check: () => (parts.isDraining() ? 'the program is draining' : parts.gateway()?.refusing || undefined),
    },
    {
      name: 'storage',
      // Draining has a reason of its own, and a storage actor that has stopped would only count a dead letter.
      check: async () =>
        parts.isDraining() || (await parts.storage.stats()).postgres.connected ? undefined : 'Postgres is away',
    },
    {
      name: 'lanes',
      // Not ours to own is fine: events for the owner are stored all the same. Nobody's is not.
      check: async () => {
        const unowned = parts.isDraining() ? 0 : (await parts.storage.lease()).unowned;
        return unowned === 0 ? undefined : `nobody processes ${unowned} of the storage lanes`;
      },
    },
    { name: 'postgres', check: async () => void (await parts.database()?.ping()) },
    { name: 'workspace', check: () => (parts.services.isConfigured ? undefined : 'there is no configuration yet') },
    { name: 'suppression', check: () => parts.services.events.hindrance() },
  ];
}

function workspaceStatus(parts: ProgramParts) {
  const workspace = parts.services.config;
  if (workspace === undefined) throw new Error('expected the workspace to be open');
  return workspace.status();
}
