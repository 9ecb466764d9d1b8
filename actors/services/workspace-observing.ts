// The part of a workspace's `settings` that says what is told and kept beside its deliveries: the names of the field
// (dataRetention, eventAuditEnabled), and two switches of ours. Its own file, because the shape of a workspace grows
// with every field of the control plane we use.

import { z } from 'zod';
import type { ObservingConfig } from './workspace.ts';
import { keyed } from './workspace-keys.ts';

const flag = z.boolean().nullish();

const bucket = keyed({ type: z.string().nullish(), config: z.record(z.string(), z.unknown()).nullish() });

/** Keys of `settings`. */
export const observingSettings = {
  dataRetention: keyed({
    disableReportingPii: flag,
    useSelfStorage: flag,
    storageBucket: bucket.nullish(),
    storagePreferences: keyed({ gatewayDumps: flag }).nullish(),
  }).nullish(),
  eventAuditEnabled: flag,
  reporting: flag,
  trackedUsers: flag,
};

type Settings = { [Key in keyof typeof observingSettings]?: z.output<(typeof observingSettings)[Key]> | undefined };

/** Undefined when the workspace says nothing about it, which most do. */
export function observingOf(settings: Settings | null | undefined): ObservingConfig | undefined {
  if (settings === null || settings === undefined) return undefined;
  const { dataRetention, eventAuditEnabled, reporting, trackedUsers } = settings;
  const archive = dataRetention?.storagePreferences?.gatewayDumps;
  const { type, config } = (dataRetention?.useSelfStorage === true ? dataRetention.storageBucket : undefined) ?? {};
  const observing: ObservingConfig = {
    ...(typeof reporting === 'boolean' ? { reports: reporting } : {}),
    ...(dataRetention?.disableReportingPii === true ? { reportSamples: false } : {}),
    ...(typeof trackedUsers === 'boolean' ? { trackedUsers } : {}),
    ...(typeof eventAuditEnabled === 'boolean' ? { eventSchemas: eventAuditEnabled } : {}),
    ...(typeof archive === 'boolean' ? { archive } : {}),
    ...(typeof type === 'string' && type !== '' ? { archiveBucket: { type, config: config ?? {} } } : {}),
  };
  return Object.keys(observing).length === 0 ? undefined : observing;
}
