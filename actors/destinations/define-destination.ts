// What nearly every destination type needs around its transform: its settings read once, with errors that name the key;
// settings that come from the event (`{{ path || default }}`); events of types it has no use for.

import type { DestinationConfig } from '../services/workspace.ts';
import {
  abort,
  type BatchRules,
  type CompiledDestination,
  type DeliveredBy,
  type DestinationType,
  type EventMetadata,
  type EventObject,
  filter,
  isObject,
  type TransformResult,
} from './destination.ts';
import { fillTemplate, parseTemplate, type Template, withoutTaken } from './dynamic-config.ts';
import { typeOf } from './event-fields.ts';
import { readSettings, type SettingsShape, type SettingValues, settingDocs } from './settings.ts';

/** `type`: the event's, trimmed and lower case. */
export type Transform = (event: EventObject, metadata: EventMetadata, type: string) => TransformResult;

export interface DestinationDefinition<S extends SettingsShape> {
  name: string;
  deliveredBy: DeliveredBy;
  summary: string;
  /** The others are filtered; undefined: any event that is a JSON object will do. */
  messageTypes?: readonly string[];
  settings: S;
  batch?: BatchRules;
  /** The transform, or what is wrong with the settings as a whole. */
  prepare(settings: SettingValues<S>, destination: DestinationConfig): Transform | string;
}

const knownTypes: ReadonlySet<string> = new Set(['identify', 'track', 'page', 'screen', 'group', 'alias']);
/** Versions of one destination that its events gave; beyond this they are prepared anew. */
const filledVersionsMax = 50;

export function defineDestination<S extends SettingsShape>(definition: DestinationDefinition<S>): DestinationType {
  const { name, deliveredBy, summary, messageTypes, settings, batch } = definition;
  return {
    name,
    deliveredBy,
    summary,
    settings: settingDocs(settings),
    ...(messageTypes === undefined ? {} : { messageTypes }),
    ...(batch === undefined ? {} : { batch }),
    compile(destination) {
      if (hasTemplate(destination.config)) return compileDynamic(definition, destination);
      const transform = prepare(definition, destination);
      return typeof transform === 'string'
        ? { problem: transform, transform: () => abort(transform) }
        : { transform: guarded(definition, transform) };
    },
  };
}

function prepare<S extends SettingsShape>(
  { settings, prepare: prepareSettings }: DestinationDefinition<S>,
  destination: DestinationConfig,
): Transform | string {
  const reading = readSettings(settings, destination.config);
  return reading.ok ? prepareSettings(reading.value, destination) : reading.problem;
}

function guarded<S extends SettingsShape>(
  { name, messageTypes }: DestinationDefinition<S>,
  transform: Transform,
): CompiledDestination['transform'] {
  return (event, metadata) => {
    const type = typeOf(event);
    if (messageTypes === undefined || messageTypes.includes(type)) return transform(event, metadata, type);
    if (knownTypes.has(type)) return filter(`${name} has no use for events of type ${type}`);
    return abort(
      type === '' ? 'message type is missing' : `message type ${JSON.stringify(type.slice(0, 60))} is not known`,
    );
  };
}

/** Settings that events bring along. Few differ, so what was prepared for one event is kept for the next. */
function compileDynamic<S extends SettingsShape>(
  definition: DestinationDefinition<S>,
  destination: DestinationConfig,
): CompiledDestination {
  const versions = new Map<string, CompiledDestination['transform']>();
  return {
    transform(event, metadata) {
      const taken: Template[] = [];
      const config = fillConfig(destination.config, event, metadata, taken);
      const key = JSON.stringify(config);
      let transform = versions.get(key);
      if (transform === undefined) {
        const prepared = prepare(definition, { ...destination, config: isObject(config) ? config : {} });
        transform = typeof prepared === 'string' ? () => abort(prepared) : guarded(definition, prepared);
        if (versions.size >= filledVersionsMax) versions.clear();
        versions.set(key, transform);
      }
      const sent = taken.length === 0 ? event : withoutTaken(event, taken);
      const result = transform(sent, metadata);
      const needsBytes = result.kind === 'deliver' && result.body === 'event' && sent !== event;
      return needsBytes ? { ...result, body: Buffer.from(JSON.stringify(sent)) } : result;
    },
  };
}

function hasTemplate(value: unknown): boolean {
  if (typeof value === 'string') return parseTemplate(value) !== undefined;
  return typeof value === 'object' && value !== null && Object.values(value).some(hasTemplate);
}

function fillConfig(value: unknown, event: EventObject, metadata: EventMetadata, taken: Template[]): unknown {
  if (typeof value === 'string') {
    const template = parseTemplate(value);
    if (template === undefined) return value;
    const filled = fillTemplate(template, event, metadata);
    if (filled.found) taken.push(template);
    return filled.value;
  }
  if (Array.isArray(value)) return value.map((item) => fillConfig(item, event, metadata, taken));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, fillConfig(item, event, metadata, taken)]),
  );
}
