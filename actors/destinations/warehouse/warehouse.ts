// The warehouses as destination types. A job holds all rows of its event, as a JSON list: one event stays one job, so
// that the ledger counts events; the batch router writes the rows into staging files.

import { sendMessage } from '../custom-message.ts';
import { defineDestination, type Transform } from '../define-destination.ts';
import { abort, type DestinationType, filter } from '../destination.ts';
import { flag, lines, type SettingsShape, text } from '../settings.ts';
import { dialects, type WarehouseType } from './dialects.ts';
import { warehouseRows } from './rows.ts';

const rowSettings = {
  namespace: text('schema of the tables; empty: the name of the source', ''),
  skipTracksTable: flag('no table of all track events'),
  skipUsersTable: flag('no table of users'),
  underscoreDivideNumbers: flag('`completed_2` instead of `completed2`'),
  allowUsersContextTraits: flag('`context.traits` become columns of users'),
  storeFullEvent: flag('a column with the whole event'),
  jsonPaths: text('parts of events that are kept as JSON, separated by commas', ''),
  enableIDResolution: flag('rows by which users are merged, for SNOWFLAKE and BQ'),
} as const;

const server = {
  host: text('of the server'),
  port: text('of the server', ''),
  database: text('name of the database'),
  user: text('to sign in'),
  password: text('to sign in', ''),
} as const;
const bucket = { bucketName: text('where staging files go'), prefix: text('folder of the files', '') } as const;

const connections: Readonly<Record<WarehouseType, SettingsShape>> = {
  POSTGRES: server,
  RS: { ...server, ...bucket },
  BQ: {
    project: text('Google Cloud project'),
    location: text('of the dataset', ''),
    ...bucket,
    credentials: lines('key', ''),
  },
  SNOWFLAKE: {
    account: text('of Snowflake'),
    warehouse: text('that computes'),
    database: text('name of the database'),
    user: text('to sign in'),
    password: text('to sign in', ''),
  },
  CLICKHOUSE: { ...server, cluster: text('name of the cluster', '') },
  MSSQL: server,
  AZURE_SYNAPSE: server,
  DELTALAKE: {
    host: text('of Databricks'),
    port: text('of Databricks', '443'),
    path: text('HTTP path'),
    token: text('token'),
  },
  S3_DATALAKE: bucket,
  GCS_DATALAKE: { ...bucket, credentials: lines('key', '') },
  AZURE_DATALAKE: { containerName: text('where files go'), prefix: bucket.prefix, accountName: text('of the storage') },
};

export const warehouses: readonly DestinationType[] = Object.values(dialects).map(({ type }) => warehouse(type));

function warehouse(type: WarehouseType): DestinationType {
  return defineDestination({
    name: type,
    deliveredBy: 'batch',
    summary: 'events as rows of tables',
    settings: { ...rowSettings, ...connections[type] },
    prepare(given): Transform {
      const { enableIDResolution: resolvesIdentities, ...options } = given;
      const settings = { ...options, resolvesIdentities, dialect: dialects[type] };
      return (event, metadata) => {
        const { messageId, receivedAtMs, sourceId, destinationId, sourceType = '', sourceCategory = '' } = metadata;
        const about = { messageId, receivedAtMs, sourceId, destinationId, sourceType, sourceCategory };
        const result = warehouseRows(event, { ...about, destinationType: type }, settings);
        if (!result.ok) return abort(result.problem);
        return result.rows.length === 0 ? filter('the event gives no rows') : sendMessage(result.rows);
      };
    },
  });
}
