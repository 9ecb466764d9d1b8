// What decides how one event becomes rows: the settings of the destination, and what the event itself asks for under
// `integrations` (spec/transformer-and-clients.md 5.6).

import { type EventObject, isObject } from '../destination.ts';
import { objectAt } from '../event-fields.ts';
import type { Dialect } from './dialects.ts';
import type { NamingOptions } from './names.ts';

export interface WarehouseSettings {
  readonly dialect: Dialect;
  readonly skipTracksTable: boolean;
  readonly skipUsersTable: boolean;
  readonly underscoreDivideNumbers: boolean;
  readonly allowUsersContextTraits: boolean;
  readonly storeFullEvent: boolean;
  /** As in the settings: a list with commas. */
  readonly jsonPaths: string;
  /** Rows by which users are merged, for warehouses that do so. */
  readonly resolvesIdentities: boolean;
}

/** Of one event. */
export interface RowOptions {
  readonly dialect: Dialect;
  readonly naming: NamingOptions;
  readonly skipTracksTable: boolean;
  readonly skipUsersTable: boolean;
  readonly allowUsersContextTraits: boolean;
  readonly storeFullEvent: boolean;
  readonly resolvesIdentities: boolean;
  /** Places that are kept as JSON, as `type.root.path…`. */
  readonly jsonPlaces: ReadonlySet<string>;
}

const rootedTypes: ReadonlySet<string> = new Set(['track', 'identify', 'page', 'screen', 'alias', 'group', 'extract']);

export function rowOptions(event: EventObject, settings: WarehouseSettings): RowOptions {
  const { dialect } = settings;
  const own = objectAt(event, `integrations.${dialect.type}.options`);
  const naming: NamingOptions = {
    dividesNumbers: settings.underscoreDivideNumbers,
    usesBlendoCasing: own.useBlendoCasing === true,
    skipsReservedWords: own.skipReservedKeywordsEscaping === true,
  };
  return {
    dialect,
    naming,
    skipTracksTable: settings.skipTracksTable || own.skipTracksTable === true,
    skipUsersTable: settings.skipUsersTable || own.skipUsersTable === true,
    allowUsersContextTraits: settings.allowUsersContextTraits,
    storeFullEvent: settings.storeFullEvent,
    resolvesIdentities: settings.resolvesIdentities && dialect.resolvesIdentities,
    jsonPlaces: dialect.jsonPathType === undefined ? noPlaces : jsonPlaces(event, own, settings.jsonPaths),
  };
}

const noPlaces: ReadonlySet<string> = new Set();

function jsonPlaces(event: EventObject, own: EventObject, configured: string): ReadonlySet<string> {
  const shared = objectAt(event, 'integrations.DATA_WAREHOUSE.options');
  const wanted = [...textsIn(shared.jsonPaths), ...textsIn(own.jsonPaths), ...configured.split(',')];
  const places = new Set<string>();
  for (const path of wanted) {
    const trimmed = path.trim();
    if (trimmed === '') continue;
    const [first = ''] = trimmed.split('.');
    // The old form names no type and no root: it is about the properties of tracks.
    places.add(rootedTypes.has(first) ? trimmed : `track.properties.${trimmed}`);
  }
  return places;
}

function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** `{"0": "a", "1": "b"}`: a text that some client spread into an object; undefined when it is none. */
export function joinedSpread(value: unknown): string | undefined {
  if (!isObject(value)) return undefined;
  const entries = Object.entries(value);
  const isSpread = entries.every(
    ([key, letter], index) => key === String(index) && typeof letter === 'string' && [...letter].length === 1,
  );
  return isSpread && entries.length > 0 ? entries.map(([, letter]) => letter).join('') : undefined;
}
