// The services that the gateway asks about events: who is suppressed, who sends too much, what a webhook means; and the
// program's own diagnostics. Put together from the settings; what is switched off is not there and costs nothing.

import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { ActorLog, Seams, ThreadMetrics } from '../runtime/index.ts';
import { memoryKeyValueStore, openKeyValueStore, type Postgres } from '../transport/index.ts';
import type { AdminRoute } from './admin/contract.ts';
import type { Settings } from './config.ts';
import { controlPlaneName } from './services/control-plane.ts';
import { Diagnostics, requestFigures } from './services/diagnostics.ts';
import { EventGate } from './services/event-gate.ts';
import { LimitSharing } from './services/limit-sharing.ts';
import { postgresLimitStore, redisLimitStore } from './services/limit-stores.ts';
import { type Limit, RateLimiter } from './services/rate-limiter.ts';
import { ServiceClient } from './services/service-client.ts';
import type { Services } from './services/service-health.ts';
import { SuppressedUsers } from './services/suppressed-users.ts';
import { suppressionRoutes } from './services/suppression-routes.ts';
import { SuppressionStore } from './services/suppression-store.ts';
import { SuppressionSync } from './services/suppression-sync.ts';
import { TransformerFeaturesPoll, transformerName } from './services/transformer-features.ts';
import { builtInWebhookSources, isGenericWebhook, type WebhookSources } from './services/webhook-sources.ts';
import { WebhookTransformer } from './services/webhook-transformer.ts';

export interface EventServicesParts {
  settings: Settings;
  services: Services;
  postgres: Postgres;
  log: ActorLog;
  seams: Seams;
  metrics: ThreadMetrics;
  version: string;
  /** The one workspace of this process; '' when there is none yet, or several. */
  workspaceId(): string;
}

export interface EventServices {
  gate: EventGate;
  webhookSources: WebhookSources;
  routes: AdminRoute[];
  /** Why nothing can be accepted because of them; undefined when it can. */
  hindrance(): string | undefined;
  close(): Promise<void>;
}

const redisTimeoutMs = 2_000;
const answerBytesMax = 64 * 1024 * 1024;
const msPerDay = 86_400_000;
const suppressionTimeoutMs = 30_000;
const transformerConnectionsMax = 64;
const diagnosticsBytesMax = 16 * 1024;
const diagnosticsTimeoutMs = 10_000;

/** Nothing here waits: stores and connections open in the background. */
export function startEventServices(parts: EventServicesParts): EventServices {
  const suppressedUsers = createSuppressedUsers(parts);
  const { limiter, sharing } = createRateLimiter(parts);
  const { webhookSources, features } = createWebhookSources(parts);
  const diagnostics = createDiagnostics(parts);
  suppressedUsers?.start();
  features?.start();
  diagnostics?.start();
  return {
    webhookSources,
    gate: new EventGate({ suppressedUsers, rateLimiter: limiter }),
    routes: suppressedUsers === undefined ? [] : suppressionRoutes(suppressedUsers, () => parts.seams.clock.nowMs()),
    hindrance: () =>
      suppressedUsers === undefined || suppressedUsers.isReady || parts.settings.suppression.passUnknown
        ? undefined
        : 'it is not known yet who is suppressed',
    close: async () => {
      await suppressedUsers?.close();
      await sharing?.close();
      await features?.close();
      await diagnostics?.close();
    },
  };
}

function createWebhookSources({ settings, services, seams }: EventServicesParts) {
  const { url, pollMs, timeoutMs } = settings.transformer;
  const builtIn = builtInWebhookSources();
  if (url === '') return { webhookSources: builtIn, features: undefined };
  const { clock, random } = seams;
  const client = new ServiceClient({
    name: transformerName,
    answerBytesMax,
    connectionsMax: transformerConnectionsMax,
  });
  const asked = services.begin('transformer-features');
  const features = new TransformerFeaturesPoll({ client, url, pollMs, timeoutMs, health: asked, clock, random });
  // Destinations ask it themselves; here it only shows whether it is there.
  if (settings.role === 'pipeline') return { webhookSources: builtIn, features };
  const webhookSources = new WebhookTransformer({
    client,
    url,
    timeoutMs,
    features: () => features.current,
    builtIn,
    isBuiltIn: isGenericWebhook,
    health: services.begin('webhook-transformer'),
    clock,
    random,
  });
  return { webhookSources, features };
}

function createDiagnostics({ settings, services, seams, metrics, version }: EventServicesParts) {
  const { url, writeKey, everyMs } = settings.diagnostics;
  if (url === '' || settings.role === 'pipeline') return undefined;
  const { clock, random } = seams;
  return new Diagnostics({
    client: new ServiceClient({ name: 'the data plane of diagnostics', answerBytesMax: diagnosticsBytesMax }),
    url,
    writeKey,
    everyMs,
    timeoutMs: diagnosticsTimeoutMs,
    anonymousId: randomUUID(),
    version,
    newId: randomUUID,
    figures: () => requestFigures(metrics.snapshot()),
    health: services.begin('diagnostics'),
    clock,
    random,
  });
}

/** Always there: a source may have a limit of its own in the configuration at any time. */
function createRateLimiter({ settings, services, postgres, seams, metrics }: EventServicesParts) {
  const { sourceEvents, workspaceEvents, windowMs, store, redisUrl, sharePauseMs } = settings.rateLimit;
  const limitOf = (events: number): Limit | undefined => (events === 0 ? undefined : { events, windowMs });
  const sharing =
    store === 'memory'
      ? undefined
      : new LimitSharing({
          open: async () =>
            store === 'redis' ? await redisLimitStore(redisUrl, redisTimeoutMs) : postgresLimitStore(postgres),
          health: services.begin('rate-limits'),
          clock: seams.clock,
          pauseMs: sharePauseMs,
          onOwed: (key, owedMs) => limiter.adopt(key, owedMs),
        });
  const limiter = new RateLimiter({
    defaultSourceLimit: limitOf(sourceEvents),
    defaultWorkspaceLimit: limitOf(workspaceEvents),
    clock: seams.clock,
    metrics,
    ...(sharing === undefined ? {} : { share: sharing.share }),
  });
  return { limiter, sharing };
}

function createSuppressedUsers(parts: EventServicesParts): SuppressedUsers | undefined {
  const { settings, services, log, seams } = parts;
  const { store: kind, recentDays, passUnknown } = settings.suppression;
  // Nothing comes in where there is no gateway.
  if (kind === 'off' || settings.role === 'pipeline') return undefined;
  const health = services.begin('suppression');
  const { clock } = seams;
  const path = join(resolve(settings.data.dir), 'suppressions');
  return new SuppressedUsers({
    open: async () =>
      new SuppressionStore({
        tables: kind === 'memory' ? memoryKeyValueStore() : await openKeyValueStore(path),
        windowMs: kind === 'recent' ? recentDays * msPerDay : undefined,
        nowMs: () => clock.nowMs(),
      }),
    sync: (store) => createSync(parts, store, health),
    passUnknown,
    health,
    log,
    clock,
  });
}

function createSync(
  { settings, seams, workspaceId }: EventServicesParts,
  store: SuppressionStore,
  health: ReturnType<Services['begin']>,
): SuppressionSync | undefined {
  const { suppression, backendConfig } = settings;
  const url = suppression.url === '' ? backendConfig.url : suppression.url;
  if (url === '') return undefined;
  const owner = (): string => {
    if (backendConfig.namespace !== '') return `namespaces/${encodeURIComponent(backendConfig.namespace)}`;
    const id = workspaceId();
    return id === '' ? '' : `workspaces/${encodeURIComponent(id)}`;
  };
  return new SuppressionSync({
    client: new ServiceClient({ name: controlPlaneName, answerBytesMax }),
    url,
    token: suppression.token === '' ? backendConfig.token : suppression.token,
    owner,
    pageSize: suppression.pageSize,
    pollMs: suppression.pollMs,
    timeoutMs: suppressionTimeoutMs,
    store,
    health,
    clock: seams.clock,
    random: seams.random,
  });
}
