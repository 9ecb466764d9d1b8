// Settings of what watches and records beside the main path: reports, schemas of events, tracked users and the archive.

import { boolean, choice, integer, text } from '../../runtime/index.ts';
import { mebibyte } from './sizes.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

export const reportingSettings = {
  enabled: boolean({
    default: false,
    doc: "Count what becomes of events at each stage, by event name and state (`GET /reports`). A workspace's own `settings.reporting` wins",
  }),
  url: text({
    default: '',
    doc: 'Service that reports and tracked users are sent to as well, in the shape of the field (`/metrics`, `/trackedUser`). Empty: none',
  }),
  username: text({ default: '', doc: 'User name for it. Empty: no authentication' }),
  password: text({ default: '', secret: true, doc: 'Password for it' }),
  timeoutMs: integer({ default: 60_000, min: 100, max: 600_000, doc: 'Longest wait for its answer' }),
  retentionMs: integer({
    default: dayMs,
    min: 600_000,
    max: 365 * dayMs,
    doc: 'Reports are kept this long, sent or not',
  }),
  eventNamesMax: integer({
    default: 200,
    min: 1,
    max: 10_000,
    doc: 'Names of events that are told apart for a source within an hour; further ones are counted as (other)',
  }),
};

export const trackedUsersSettings = {
  enabled: boolean({
    default: false,
    doc: "Estimate how many users each source sends events of (`GET /tracked-users`). A workspace's own `settings.trackedUsers` wins",
  }),
  retentionMs: integer({
    default: 35 * dayMs,
    min: hourMs,
    max: 3_650 * dayMs,
    doc: 'The figures of an hour are kept this long',
  }),
};

export const eventSchemaSettings = {
  enabled: boolean({
    default: false,
    doc: "Learn which keys of which types events have (`GET /event-schemas`). A workspace's own `settings.eventAuditEnabled` wins",
  }),
  forwardUrl: text({ default: '', doc: 'Where schemas are posted to when they change. Empty: nowhere' }),
  keysMax: integer({ default: 500, min: 10, max: 10_000, doc: 'Keys of one event that are looked at' }),
  schemasMax: integer({
    default: 1_000,
    min: 1,
    max: 100_000,
    doc: 'Names of events of one source whose schema is kept; further ones are counted as (other)',
  }),
};

export const archivalSettings = {
  storage: choice(['none', 'local', 's3', 'gcs', 'azure'], {
    default: 'none',
    doc: 'Where events are archived of workspaces that want it (`settings.dataRetention.storagePreferences.gatewayDumps`) and name no storage of their own',
  }),
  folder: text({ default: '', doc: 'Folder of the storage local. Empty: `archive` in the data folder' }),
  bucket: text({ default: '', doc: 'Bucket or container of the other storages' }),
  prefix: text({ default: '', doc: 'Put before the name of every object' }),
  region: text({ default: 'us-east-1', doc: 'Region of the storage s3' }),
  endpoint: text({
    default: '',
    doc: 'URL of a server that speaks the protocol of the storage. Empty: that of its vendor',
  }),
  accessKeyId: text({ default: '', doc: 'Access key of s3; name of the account of azure' }),
  secretAccessKey: text({
    default: '',
    secret: true,
    doc: 'Secret key of s3; account key of azure; service account (JSON) of gcs',
  }),
  everyMs: integer({
    default: 300_000,
    min: 100,
    max: dayMs,
    doc: 'An event is archived at the latest this long after it was received, while the storage answers',
  }),
  eventsMax: integer({ default: 10_000, min: 1, max: 100_000, doc: 'Events in one object' }),
  bytesMax: integer({
    default: 16 * mebibyte,
    min: 64 * 1024,
    max: 24 * mebibyte,
    doc: 'Bytes of events in one object, before compression',
  }),
  timeoutMs: integer({
    default: 60_000,
    min: 100,
    max: 600_000,
    doc: 'Longest wait for the storage to take an object',
  }),
  retryMs: integer({ default: 30_000, min: 10, max: hourMs, doc: 'Pause after an object could not be written' }),
  keepMs: integer({
    default: dayMs,
    min: 1_000,
    max: 30 * dayMs,
    doc: 'While the storage is away, events wait for it this long; then they are given up',
  }),
};
