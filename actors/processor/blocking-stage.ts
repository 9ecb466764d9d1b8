// Events that a workspace or a source does not want by their name (spec/ingest.md 1.9): blocked for the whole workspace by
// type, allowed or blocked for one source by `config.eventFilteringOption`, in the shape that destinations have it in.

import { type EventObject, isObject } from '../destinations/destination.ts';
import type { SourceConfig } from '../services/workspace.ts';
import type { Ending, Stage } from './stage.ts';

const blocked = ended('the event is blocked in its workspace');
const notAllowed = ended('the event is not among those its source allows');
const denied = ended('the event is among those its source blocks');
/** Categories of sources whose events are not named by people: their names decide nothing. */
const reverseEtl = 'warehouse';

export function blockingStage(source: SourceConfig): Stage | undefined {
  if (source.sourceDefinition.category === reverseEtl) return undefined;
  const ofWorkspace = new Set(source.blockedEvents?.track ?? []);
  const { allow, deny } = ownLists(source.config);
  if (ofWorkspace.size === 0 && allow === undefined && deny === undefined) return undefined;
  return ({ event }) => {
    const name = nameOf(event);
    if (name === '') return undefined;
    if (ofWorkspace.has(name)) return blocked;
    if (deny?.has(name) === true) return denied;
    return allow?.has(name) === false ? notAllowed : undefined;
  };
}

/** '' unless it is a `track` event with a name: exact and with regard to case. */
function nameOf({ type, event }: EventObject): string {
  return type === 'track' && typeof event === 'string' ? event : '';
}

function ownLists(config: Record<string, unknown>): { allow?: Set<string>; deny?: Set<string> } {
  switch (config.eventFilteringOption) {
    case 'whitelistedEvents':
      return { allow: namesIn(config.whitelistedEvents) };
    case 'blacklistedEvents':
      return { deny: namesIn(config.blacklistedEvents) };
    default:
      return {};
  }
}

function namesIn(list: unknown): Set<string> {
  const entries = Array.isArray(list) ? list : [];
  const names = entries.map((entry) => (isObject(entry) ? entry.eventName : entry));
  return new Set(names.filter((name) => typeof name === 'string' && name !== ''));
}

function ended(reason: string): Ending {
  return { kind: 'filtered', code: 298, reason, stage: 'event_blocking' };
}
