// Opens the workspace configuration of the program from where its settings say: a file, the starter workspace, or a
// control plane.

import { join, resolve } from 'node:path';
import type { ActorLog, Seams } from '../runtime/index.ts';
import type { Postgres } from '../transport/index.ts';
import type { Settings } from './config.ts';
import type { ProgramOptions } from './program-contract.ts';
import { type BackendConfig, openWorkspaceFile, workspaceBytesMax } from './services/backend-config.ts';
import { type CacheTable, ConfigCache } from './services/config-cache.ts';
import { ControlPlane, controlPlaneName } from './services/control-plane.ts';
import { openControlPlaneConfig } from './services/control-plane-config.ts';
import { ServiceClient } from './services/service-client.ts';
import type { ServiceHealth } from './services/service-health.ts';
import { openStarterReceiver, type StarterReceiver } from './services/starter-receiver.ts';
import { ensureStarterWorkspace } from './services/starter-workspace.ts';
import type { WorkspaceSnapshot } from './services/workspace.ts';
import type { WorkspaceSetChange } from './services/workspace-set.ts';

export interface WorkspaceParts {
  options: ProgramOptions;
  log: ActorLog;
  seams: Seams;
  onSnapshot(snapshot: WorkspaceSnapshot, change?: WorkspaceSetChange): void;
}

export interface OpenedWorkspace {
  config: BackendConfig;
  /** Only of the starter workspace. */
  receiver: StarterReceiver | undefined;
}

export function usesControlPlane(settings: Settings): boolean {
  return settings.backendConfig.url !== '';
}

/** Rejects with WorkspaceFileError when the file is not good. */
export async function openWorkspaceOfFile({
  options,
  log,
  seams,
  onSnapshot,
}: WorkspaceParts): Promise<OpenedWorkspace> {
  const { settings, environment, print } = options;
  const { clock } = seams;
  let path = settings.workspace.file;
  let receiver: StarterReceiver | undefined;
  if (path === '') {
    receiver = await openStarterReceiver({ port: settings.starter.receiverPort, clock, print });
    const dataDir = resolve(settings.data.dir);
    path = (await ensureStarterWorkspace({ dataDir, receiverPort: receiver.port })).path;
  }
  return { config: await openWorkspaceFile({ path, environment, log, clock, onSnapshot }), receiver };
}

/** Needs the database for its cache, and never rejects for what the control plane does. */
export async function openWorkspaceOfControlPlane(
  { options, log, seams, onSnapshot }: WorkspaceParts,
  postgres: Postgres,
  health: ServiceHealth,
): Promise<OpenedWorkspace> {
  const { settings, environment } = options;
  const { url, token, namespace, timeoutMs, pollMs, firstAnswerMs, cacheSecret } = settings.backendConfig;
  const { clock, random, executor } = seams;
  const turn = (): Promise<void> => new Promise((settle) => executor.nextTurn(settle));
  const client = new ServiceClient({ name: controlPlaneName, answerBytesMax: workspaceBytesMax });
  const controlPlane = new ControlPlane({ url, token, namespace, timeoutMs }, client);
  const cache = new ConfigCache({
    path: join(resolve(settings.data.dir), 'backend-config.cache'),
    table: cacheTable(postgres),
    name: controlPlane.place,
    secret: cacheSecret === '' ? token : cacheSecret,
    turn,
    onFailure: (text) => log.warn({}, text),
  });
  const config = await openControlPlaneConfig({
    controlPlane,
    cache,
    health,
    pollMs,
    firstAnswerMs,
    environment: variablesWith(settings.backendConfig.environmentPrefix, environment),
    log,
    clock,
    random,
    turn,
    onSnapshot,
  });
  return { config, receiver: undefined };
}

/** Tenants write the configuration: without a prefix they could have any secret of this process sent to themselves. */
function variablesWith(prefix: string, environment: ProgramOptions['environment']) {
  if (prefix === '') return undefined;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => name.startsWith(prefix)));
}

function cacheTable(postgres: Postgres): CacheTable {
  return {
    read: async (name) => {
      const { rows } = await postgres.query<{ content: Buffer }>(
        'select content from sluice_config_cache where name = $1',
        [name],
      );
      return rows[0]?.content;
    },
    write: async (name, content) => {
      await postgres.query(
        `insert into sluice_config_cache (name, content) values ($1, $2)
         on conflict (name) do update set content = excluded.content, saved_at = now()`,
        [name, content],
      );
    },
  };
}
