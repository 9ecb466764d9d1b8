// Whether a destination may have an event of somebody who denied consents (spec/ingest.md 4.7). What a destination needs
// consent for is read from its settings once; an event that denies nothing costs one look.

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { DestinationConfig } from '../services/workspace.ts';

interface ConsentNeed {
  consents: readonly string[];
  /** Where the event does not say: `or` needs one of the consents, anything else all of them. */
  resolutionStrategy: string;
}

export interface ConsentRules {
  /** Generic settings by provider: where there are some, they alone decide. */
  readonly byProvider: ReadonlyMap<string, ConsentNeed>;
  readonly oneTrust: readonly string[];
  readonly ketch: readonly string[];
}

/** The one provider whose strategy is the destination's choice. */
const customProvider = 'custom';

/** Undefined: the destination needs no consent. */
export function compileConsent({ config }: DestinationConfig): ConsentRules | undefined {
  const byProvider = new Map<string, ConsentNeed>();
  for (const one of objectsIn(config.consentManagement)) {
    const consents = textsOf(one.consents, 'consent');
    if (consents.length === 0) continue;
    byProvider.set(textOf(one.provider), { consents, resolutionStrategy: textOf(one.resolutionStrategy) });
  }
  const oneTrust = textsOf(config.oneTrustCookieCategories, 'oneTrustCookieCategory');
  const ketch = textsOf(config.ketchConsentPurposes, 'purpose');
  if (byProvider.size === 0 && oneTrust.length === 0 && ketch.length === 0) return undefined;
  return { byProvider, oneTrust, ketch };
}

export function isConsentDenied(rules: ConsentRules, event: EventObject): boolean {
  const given = isObject(event.context) ? event.context.consentManagement : undefined;
  if (!isObject(given) || !Array.isArray(given.deniedConsentIds)) return false;
  const denied = new Set(given.deniedConsentIds.map(textOf).filter((id) => id !== ''));
  if (denied.size === 0) return false;
  const isDenied = (consent: string): boolean => denied.has(consent);
  const provider = textOf(given.provider);
  const need = rules.byProvider.get(provider);
  if (need !== undefined) {
    const strategy = provider === customProvider ? need.resolutionStrategy : textOf(given.resolutionStrategy);
    return strategy.toLowerCase() === 'or' ? need.consents.every(isDenied) : need.consents.some(isDenied);
  }
  const isOneTrust = provider === '' || provider === 'oneTrust';
  if (isOneTrust && rules.oneTrust.some(isDenied)) return true;
  const isKetch = provider === '' || provider === 'ketch';
  return isKetch && rules.ketch.length > 0 && rules.ketch.every(isDenied);
}

function objectsIn(value: unknown): EventObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function textsOf(value: unknown, key: string): string[] {
  return objectsIn(value)
    .map((one) => textOf(one[key]))
    .filter((text) => text !== '');
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.trim() : '';
}
