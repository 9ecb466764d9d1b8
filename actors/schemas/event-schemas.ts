// Keeps the schemas of events in the database: takes over what commits told, gives it out page by page, and tells what
// has changed since it was forwarded.

import type { PostgresSession } from '../../transport/index.ts';
import { otherEventName } from '../observations/event-names.ts';
import type { ObservationLog, Observed } from '../observations/observation-log.ts';
import { addShape, type EventSchema, emptySchema, schemaKey } from './schema-merge.ts';
import type { SchemaLabels } from './schema-tap.ts';

const observedMax = 200;

export interface EventSchemasOptions {
  log: ObservationLog;
  /** Of one event; of a name there may be twice as many. */
  keysMax: number;
  /** Names of one source. */
  schemasMax: number;
}

export interface SchemaQuery {
  sourceId: string;
  writeKey: string;
  workspaceId: string;
  eventType: string;
  /** Key of the last one of the page before; ['', '', '']: the first page. */
  after: readonly [sourceId: string, eventType: string, eventName: string];
  limit: number;
}

interface Row {
  source_id: string;
  event_type: string;
  event_name: string;
  workspace_id: string;
  write_key: string;
  count: number;
  keys: string;
  is_cut: boolean;
  sample: string;
  first_minute: number;
  last_minute: number;
  version: number;
}

const columns =
  'source_id, event_type, event_name, workspace_id, write_key, count, keys, is_cut, sample, first_minute, last_minute, version';

export class EventSchemas {
  readonly #options: EventSchemasOptions;

  constructor(options: EventSchemasOptions) {
    this.#options = options;
  }

  /** Takes over all that has been gathered. */
  async takeOver(): Promise<void> {
    let taken = observedMax;
    while (taken === observedMax) {
      taken = await this.#options.log.consume('schema', observedMax, (session, observed) =>
        mergeObserved(session, observed, this.#options),
      );
    }
  }

  async read({ sourceId, writeKey, workspaceId, eventType, after, limit }: SchemaQuery): Promise<EventSchema[]> {
    const { rows } = await this.#options.log.postgres.query<Row>(
      `select ${columns} from sluice_event_schemas
       where ($1 = '' or source_id = $1) and ($2 = '' or write_key = $2) and ($3 = '' or workspace_id = $3)
         and ($4 = '' or event_type = $4) and (source_id, event_type, event_name) > ($5, $6, $7)
       order by source_id, event_type, event_name limit $8`,
      [sourceId, writeKey, workspaceId, eventType, ...after, limit],
    );
    return rows.map(toSchema);
  }

  /** What changed since it was forwarded, with the version that is to be told to `forwarded`. */
  async changed(limit: number): Promise<{ schema: EventSchema; version: number }[]> {
    const { rows } = await this.#options.log.postgres.query<Row>(
      `select ${columns} from sluice_event_schemas where forwarded_version < version
       order by source_id, event_type, event_name limit $1`,
      [limit],
    );
    return rows.map((row) => ({ schema: toSchema(row), version: row.version }));
  }

  async forwarded(changed: readonly { schema: EventSchema; version: number }[]): Promise<void> {
    for (const { schema, version } of changed) {
      await this.#options.log.postgres.query(
        `update sluice_event_schemas set forwarded_version = $4
         where source_id = $1 and event_type = $2 and event_name = $3`,
        [schema.sourceId, schema.eventType, schema.eventName, version],
      );
    }
  }
}

async function mergeObserved(
  session: PostgresSession,
  observed: readonly Observed[],
  { keysMax, schemasMax }: EventSchemasOptions,
): Promise<void> {
  const schemas = new Map<string, EventSchema>();
  for (const { labels: text, count, sample, minute } of observed) {
    const labels = JSON.parse(text) as SchemaLabels;
    const schema =
      schemas.get(schemaKey(labels)) ??
      (await readSchema(session, labels)) ??
      (await newSchema(session, labels, minute, { schemas, schemasMax }));
    schemas.set(schemaKey({ sourceId: schema.sourceId, type: schema.eventType, name: schema.eventName }), schema);
    addShape(schema, { labels, count, sample, minute }, keysMax * 2);
  }
  for (const schema of schemas.values()) await writeSchema(session, schema);
}

/** Beyond the names of a source that are kept, its events are counted under one. */
async function newSchema(
  session: PostgresSession,
  labels: SchemaLabels,
  minute: number,
  { schemas, schemasMax }: { schemas: ReadonlyMap<string, EventSchema>; schemasMax: number },
): Promise<EventSchema> {
  const { sourceId } = labels;
  const { rows } = await session.query<{ names: string[] }>(
    `select array(select event_type || chr(1) || event_name from sluice_event_schemas
                  where source_id = $1 limit $2) as names`,
    [sourceId, schemasMax],
  );
  const names = new Set(rows[0]?.names);
  for (const one of schemas.values())
    if (one.sourceId === sourceId) names.add(`${one.eventType}\u0001${one.eventName}`);
  if (names.size < schemasMax) return emptySchema(labels, minute);
  const rest = { ...labels, name: otherEventName };
  return schemas.get(schemaKey(rest)) ?? (await readSchema(session, rest)) ?? emptySchema(rest, minute);
}

async function readSchema(session: PostgresSession, labels: SchemaLabels): Promise<EventSchema | undefined> {
  const { rows } = await session.query<Row>(
    `select ${columns} from sluice_event_schemas where source_id = $1 and event_type = $2 and event_name = $3`,
    [labels.sourceId, labels.type, labels.name],
  );
  const [row] = rows;
  return row === undefined ? undefined : toSchema(row);
}

async function writeSchema(session: PostgresSession, schema: EventSchema): Promise<void> {
  const { sourceId, eventType, eventName, workspaceId, writeKey, count, keys, isCut, sample } = schema;
  await session.query(
    `insert into sluice_event_schemas as s
       (source_id, event_type, event_name, workspace_id, write_key, count, keys, is_cut, sample, first_minute, last_minute)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     on conflict (source_id, event_type, event_name) do update set workspace_id = excluded.workspace_id,
       write_key = excluded.write_key, count = excluded.count, keys = excluded.keys, is_cut = excluded.is_cut,
       sample = excluded.sample, first_minute = excluded.first_minute, last_minute = excluded.last_minute,
       version = s.version + 1`,
    [
      ...[sourceId, eventType, eventName, workspaceId, writeKey, count, JSON.stringify(keys), isCut, sample],
      ...[schema.firstMinute, schema.lastMinute],
    ],
  );
}

function toSchema(row: Row): EventSchema {
  return {
    sourceId: row.source_id,
    workspaceId: row.workspace_id,
    writeKey: row.write_key,
    eventType: row.event_type,
    eventName: row.event_name,
    count: row.count,
    keys: JSON.parse(row.keys) as EventSchema['keys'],
    isCut: row.is_cut,
    sample: row.sample,
    firstMinute: row.first_minute,
    lastMinute: row.last_minute,
  };
}
