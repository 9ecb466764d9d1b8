// Which destinations an event goes to: the switches of the configuration, the event's own `integrations` object and
// the message types a destination supports (spec/ingest.md 4.6 and 4.8, spec/transformer-and-clients.md 7.2).

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { DestinationConfig } from '../services/workspace.ts';

/** Codes as in spec/delivery.md 1.9: 298 is intended, 400 is a fault of the event. */
export type FilterVerdict = { code: 298 | 400; reason: string } | undefined;

/** Everything about the decision that does not depend on the event. */
export interface CompiledFilter {
  /** Set: no event passes. */
  readonly off: FilterVerdict;
  readonly displayName: string;
  /** Lower case; undefined: every type. */
  readonly types: ReadonlySet<string> | undefined;
}

export function compileFilter(destination: DestinationConfig): CompiledFilter {
  return {
    off: switchedOff(destination),
    displayName: destination.destinationDefinition.displayName,
    types: supportedTypes(destination),
  };
}

/** Undefined: the event goes to this destination. */
export function filterEvent(filter: CompiledFilter, event: EventObject): FilterVerdict {
  if (filter.off !== undefined) return filter.off;
  if (!isIntegrated(event.integrations, filter.displayName)) return notIntegrated;
  if (filter.types === undefined) return undefined;
  const type = event.type;
  if (typeof type !== 'string' || type.trim() === '') return noType;
  return filter.types.has(type.trim().toLowerCase()) ? undefined : unsupportedType;
}

/**
 * Missing: all. `All` missing: true. Not an object, or `All` not a boolean: none. A boolean under the destination's
 * display name decides, an object there (its options) includes, anything else follows `All`.
 */
export function isIntegrated(integrations: unknown, displayName: string): boolean {
  if (integrations === undefined || integrations === null) return true;
  if (!isObject(integrations)) return false;
  const all = integrations.All ?? true;
  if (typeof all !== 'boolean') return false;
  const own = Object.hasOwn(integrations, displayName) ? integrations[displayName] : undefined;
  if (typeof own === 'boolean') return own;
  return isObject(own) || all;
}

/** Only the array form filters. `identify` counts only while the destination wants it from servers. */
export function supportedTypes(destination: DestinationConfig): ReadonlySet<string> | undefined {
  const types = destination.destinationDefinition.config.supportedMessageTypes;
  if (!Array.isArray(types)) return undefined;
  const supported = new Set<string>();
  for (const type of types) if (typeof type === 'string') supported.add(type.trim().toLowerCase());
  if (destination.config.enableServerSideIdentify === false) supported.delete('identify');
  return supported;
}

function switchedOff(destination: DestinationConfig): FilterVerdict {
  if (!destination.enabled) return filtered('destination is disabled');
  if (!destination.isConnectionEnabled) return filtered('connection is disabled');
  if (!destination.isProcessorEnabled) return filtered('destination is in device mode');
  return undefined;
}

function filtered(reason: string): FilterVerdict {
  return { code: 298, reason };
}

const notIntegrated = filtered('excluded by the integrations object');
const unsupportedType = filtered('message type is not supported by the destination');
const noType: FilterVerdict = { code: 400, reason: 'message type is missing' };
