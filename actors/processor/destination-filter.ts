// Which destinations an event goes to: the switches of the configuration, the event's own `integrations` object,
// consent, and the message types and events a destination wants (spec/ingest.md 4.6 to 4.8, spec/transformer-and-clients.md 7.2).

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { DestinationConfig } from '../services/workspace.ts';
import { type ConsentRules, compileConsent, isConsentDenied } from './consent.ts';

/** Codes as in spec/delivery.md 1.9: 298 is intended, 400 is a fault of the event. */
export type FilterVerdict = { code: 298 | 400; reason: string } | undefined;

/** Everything about the decision that does not depend on the event. */
export interface CompiledFilter {
  /** Set: no event passes. */
  readonly off: FilterVerdict;
  readonly displayName: string;
  /** Lower case; undefined: every type. */
  readonly types: ReadonlySet<string> | undefined;
  /** Undefined: no consent is needed. */
  readonly consent: ConsentRules | undefined;
  /** In hybrid mode, the types that come through us, lower case; undefined: every type. */
  readonly hybridTypes: ReadonlySet<string> | undefined;
  /** Names of the events that count as conversions, and no others pass; undefined: every event. */
  readonly conversions: ReadonlySet<string> | undefined;
}

/** `sourceType` as in the source's definition: destinations in hybrid mode filter by it. */
export function compileFilter(destination: DestinationConfig, sourceType = ''): CompiledFilter {
  return {
    off: switchedOff(destination),
    displayName: destination.destinationDefinition.displayName,
    types: supportedTypes(destination),
    consent: compileConsent(destination),
    hybridTypes: hybridTypes(destination, sourceType),
    conversions: conversionsOf(destination),
  };
}

/** The half that is decided before anybody has changed the event. Undefined: the event goes to this destination. */
export function gateEvent(filter: CompiledFilter, event: EventObject): FilterVerdict {
  if (filter.off !== undefined) return filter.off;
  if (!isIntegrated(event.integrations, filter.displayName)) return notIntegrated;
  return filter.consent !== undefined && isConsentDenied(filter.consent, event) ? consentDenied : undefined;
}

/** The half that is decided by what the event is. */
export function filterType({ types, hybridTypes, conversions }: CompiledFilter, event: EventObject): FilterVerdict {
  if (types === undefined && hybridTypes === undefined && conversions === undefined) return undefined;
  const type = typeof event.type === 'string' ? event.type.trim().toLowerCase() : '';
  if (type === '' && (types !== undefined || hybridTypes !== undefined)) return noType;
  if (types?.has(type) === false) return unsupportedType;
  if (hybridTypes?.has(type) === false) return sentByDevice;
  if (conversions === undefined) return undefined;
  if (typeof event.event !== 'string') return noName;
  return conversions.has(event.event.trim()) ? undefined : noConversion;
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

/** `connectionMode` hybrid: only these types come through us, the others from the device itself. */
function hybridTypes({ config }: DestinationConfig, sourceType: string): ReadonlySet<string> | undefined {
  if (config.connectionMode !== 'hybrid' || !isObject(config.hybridModeCloudEventsFilter)) return undefined;
  const own = config.hybridModeCloudEventsFilter[sourceType];
  if (!isObject(own) || !Array.isArray(own.messageType)) return undefined;
  return new Set(textsIn(own.messageType).map((type) => type.toLowerCase()));
}

function conversionsOf({ config }: DestinationConfig): ReadonlySet<string> | undefined {
  if (!Array.isArray(config.listOfConversions)) return undefined;
  const names = textsIn(config.listOfConversions.map((one) => (isObject(one) ? one.conversions : undefined)));
  return names.length === 0 ? undefined : new Set(names);
}

function textsIn(values: readonly unknown[]): string[] {
  return values.flatMap((value) => (typeof value === 'string' && value.trim() !== '' ? [value.trim()] : []));
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
const consentDenied = filtered('the user has denied consent');
const sentByDevice = filtered('message type is sent by the device in hybrid mode');
const noConversion = filtered('the event is not among the conversions');
const noName: FilterVerdict = { code: 400, reason: 'event name is missing' };
const noType: FilterVerdict = { code: 400, reason: 'message type is missing' };
