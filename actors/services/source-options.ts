// What a source may ask of the processor, and the settings of its workspace that bear on it, as they stand in the
// workspace's shape (spec/transformer-and-clients.md 7.2). A source that asks for nothing has none of these fields.

import { z } from 'zod';
import type { SourceConfig, SourceOptions, TrackingPlanConfig } from './workspace.ts';
import { isTable, keyed, optionalText, orElse, table } from './workspace-keys.ts';
import { observingSettings } from './workspace-observing.ts';

const offByDefault = orElse(z.boolean(), () => false);
const version = z
  .union([z.string(), z.number()])
  .nullish()
  .transform((value) => (value === null || value === undefined ? '' : String(value)));

const trackingPlan = keyed({
  config: table,
  mergedConfig: table,
  deleted: offByDefault,
  trackingPlan: keyed({
    id: optionalText,
    version,
    events: z.array(z.unknown()).nullish(),
    rules: keyed({ events: z.array(z.unknown()).nullish() }).nullish(),
  }).nullish(),
}).nullish();

const geoEnrichment = keyed({ enabled: offByDefault }).nullish();

/** Keys of a source. */
export const sourceOptions = {
  transient: offByDefault,
  internalSecret: z.unknown().optional(),
  geoEnrichment,
  dgSourceTrackingPlanConfig: trackingPlan,
  /** Of a source that was kept (keptForm): what has been read of it. */
  sluiceKept: z.custom<KeptOptions>(isTable).nullish(),
};

type KeptOptions = SourceOptions & Pick<SourceConfig, 'observing' | 'transformationSetup'>;

/** Key `settings` of a workspace. */
export const workspaceSettings = keyed({
  ...observingSettings,
  eventBlocking: keyed({ events: orElse(z.record(z.string(), z.array(z.string())), () => ({})) }).nullish(),
}).nullish();

interface Read {
  transient: boolean;
  internalSecret?: unknown;
  geoEnrichment?: z.output<typeof geoEnrichment>;
  dgSourceTrackingPlanConfig?: z.output<typeof trackingPlan>;
  sourceDefinition: { options: Record<string, unknown> };
  sluiceKept?: KeptOptions | null | undefined;
}

export function sourceOptionsOf(source: Read, settings: z.output<typeof workspaceSettings>): KeptOptions {
  if (source.sluiceKept !== null && source.sluiceKept !== undefined) return source.sluiceKept;
  const plan = trackingPlanOf(source.dgSourceTrackingPlanConfig);
  const blockedEvents = settings?.eventBlocking?.events ?? {};
  return {
    ...(source.transient ? { transient: true } : {}),
    ...(source.geoEnrichment?.enabled === true ? { geoEnrichment: true } : {}),
    ...(plan === undefined ? {} : { trackingPlan: plan }),
    ...(Object.keys(blockedEvents).length === 0 ? {} : { blockedEvents }),
    ...(isHydrated(source.sourceDefinition.options)
      ? { hydration: { internalSecret: source.internalSecret ?? null } }
      : {}),
  };
}

/** A source in the shape that it is read from again when it was kept (config-cache.ts). */
export function keptForm(source: SourceConfig): Record<string, unknown> {
  const {
    transient,
    geoEnrichment,
    trackingPlan: plan,
    blockedEvents,
    hydration,
    observing,
    transformationSetup,
    ...rest
  } = source;
  const kept = {
    transient,
    geoEnrichment,
    trackingPlan: plan,
    blockedEvents,
    hydration,
    observing,
    transformationSetup,
  };
  const destinations = rest.destinations.map(({ transformations, ...destination }) => ({
    ...destination,
    transformations: transformations?.map(({ code, ...one }) => ({ ...one, config: { code } })),
  }));
  return { ...rest, destinations, sluiceKept: kept };
}

function trackingPlanOf(read: Read['dgSourceTrackingPlanConfig']): TrackingPlanConfig | undefined {
  const id = read?.trackingPlan?.id;
  if (read === undefined || read === null || read.deleted || id === undefined || id === '') return undefined;
  const { config, mergedConfig, trackingPlan: plan } = read;
  const events = plan?.events ?? plan?.rules?.events ?? undefined;
  return { id, version: plan?.version ?? '', config, mergedConfig, ...(events === undefined ? {} : { events }) };
}

function isHydrated({ hydration }: Record<string, unknown>): boolean {
  return typeof hydration === 'object' && hydration !== null && Reflect.get(hydration, 'enabled') === true;
}
