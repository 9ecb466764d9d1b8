// Puts shapes of events together to what is kept of a name: how many events had which key of which type. Pure.

import type { SchemaLabels } from './schema-tap.ts';

export interface EventSchema {
  sourceId: string;
  workspaceId: string;
  writeKey: string;
  eventType: string;
  eventName: string;
  count: number;
  /** Path → type → how many events. */
  keys: Record<string, Record<string, number>>;
  isCut: boolean;
  sample: string;
  firstMinute: number;
  lastMinute: number;
}

/** Equal for shapes of one row. */
export function schemaKey({ sourceId, type, name }: Pick<SchemaLabels, 'sourceId' | 'type' | 'name'>): string {
  return JSON.stringify([sourceId, type, name]);
}

export function emptySchema(
  { workspaceId, sourceId, writeKey, type, name }: SchemaLabels,
  minute: number,
): EventSchema {
  const place = { sourceId, workspaceId, writeKey, eventType: type, eventName: name };
  return { ...place, count: 0, keys: {}, isCut: false, sample: '', firstMinute: minute, lastMinute: minute };
}

export interface ShapeSeen {
  labels: SchemaLabels;
  count: number;
  sample: string;
  minute: number;
}

/** Adds a shape to `schema`; beyond `keysMax` paths new ones are left out, and it says so. */
export function addShape(schema: EventSchema, { labels, count, sample, minute }: ShapeSeen, keysMax: number): void {
  schema.count += count;
  schema.isCut ||= labels.isCut;
  schema.writeKey = labels.writeKey;
  schema.workspaceId = labels.workspaceId;
  schema.firstMinute = Math.min(schema.firstMinute, minute);
  schema.lastMinute = Math.max(schema.lastMinute, minute);
  if (sample !== '') schema.sample = sample;
  let known = Object.keys(schema.keys).length;
  for (const [path, types] of Object.entries(labels.keys)) {
    let counts = Object.hasOwn(schema.keys, path) ? schema.keys[path] : undefined;
    if (counts === undefined) {
      if (known >= keysMax) {
        schema.isCut = true;
        continue;
      }
      counts = {};
      known += 1;
      // A path may be called like something every object has.
      Object.defineProperty(schema.keys, path, { value: counts, enumerable: true, configurable: true, writable: true });
    }
    for (const type of types.split('|')) counts[type] = (counts[type] ?? 0) + count;
  }
}
