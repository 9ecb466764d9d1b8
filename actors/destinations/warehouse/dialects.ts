// What differs between warehouses when events become rows: case and length of names, reserved words, and which types
// they have for JSON and long texts (spec/transformer-and-clients.md 5.4 and 5.5).

import {
  athenaWords,
  bigQueryWords,
  deltaWords,
  postgresWords,
  redshiftWords,
  snowflakeWords,
  transactSqlWords,
} from './reserved-words.ts';

export type WarehouseType =
  | 'POSTGRES'
  | 'RS'
  | 'BQ'
  | 'SNOWFLAKE'
  | 'CLICKHOUSE'
  | 'MSSQL'
  | 'AZURE_SYNAPSE'
  | 'DELTALAKE'
  | 'S3_DATALAKE'
  | 'GCS_DATALAKE'
  | 'AZURE_DATALAKE';

export type ColumnType = 'int' | 'float' | 'boolean' | 'datetime' | 'string' | 'text' | 'json';

export interface Dialect {
  readonly type: WarehouseType;
  readonly isUpperCase: boolean;
  /** Files without a server: names are not cut, columns not counted. */
  readonly isLake: boolean;
  readonly nameCharactersMax: number;
  /** Upper case. */
  readonly reserved: ReadonlySet<string>;
  /** Of a column that `jsonPaths` names; undefined: there are none. */
  readonly jsonPathType: 'json' | 'string' | undefined;
  /** Of the column with the whole event. */
  readonly fullEventType: ColumnType;
  /** Texts longer than this, in UTF-16 units, are of type `text`. */
  readonly stringCharactersMax: number;
  /** Has a column for the time of loading. */
  readonly hasLoadedAt: boolean;
  /** Merges users by rules, when that is switched on. */
  readonly resolvesIdentities: boolean;
}

const usual: Omit<Dialect, 'type' | 'reserved'> = {
  isUpperCase: false,
  isLake: false,
  nameCharactersMax: 127,
  jsonPathType: undefined,
  fullEventType: 'string',
  stringCharactersMax: Number.POSITIVE_INFINITY,
  hasLoadedAt: false,
  resolvesIdentities: false,
};
const lake = { ...usual, isLake: true, nameCharactersMax: Number.POSITIVE_INFINITY };

export const dialects: Readonly<Record<WarehouseType, Dialect>> = {
  POSTGRES: {
    ...usual,
    type: 'POSTGRES',
    reserved: postgresWords,
    nameCharactersMax: 63,
    jsonPathType: 'json',
    fullEventType: 'json',
  },
  RS: {
    ...usual,
    type: 'RS',
    reserved: redshiftWords,
    jsonPathType: 'json',
    fullEventType: 'text',
    stringCharactersMax: 512,
  },
  BQ: {
    ...usual,
    type: 'BQ',
    reserved: bigQueryWords,
    jsonPathType: 'string',
    hasLoadedAt: true,
    resolvesIdentities: true,
  },
  SNOWFLAKE: {
    ...usual,
    type: 'SNOWFLAKE',
    reserved: snowflakeWords,
    isUpperCase: true,
    jsonPathType: 'json',
    fullEventType: 'json',
    resolvesIdentities: true,
  },
  CLICKHOUSE: { ...usual, type: 'CLICKHOUSE', reserved: new Set() },
  MSSQL: { ...usual, type: 'MSSQL', reserved: transactSqlWords, fullEventType: 'json' },
  AZURE_SYNAPSE: { ...usual, type: 'AZURE_SYNAPSE', reserved: transactSqlWords, fullEventType: 'json' },
  DELTALAKE: { ...usual, type: 'DELTALAKE', reserved: deltaWords },
  S3_DATALAKE: { ...lake, type: 'S3_DATALAKE', reserved: athenaWords },
  GCS_DATALAKE: { ...lake, type: 'GCS_DATALAKE', reserved: bigQueryWords },
  AZURE_DATALAKE: { ...lake, type: 'AZURE_DATALAKE', reserved: transactSqlWords },
};
