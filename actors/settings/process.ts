// Settings of the process as a whole: where its data and its database are, threads, log, admin server and drain.

import { availableParallelism } from 'node:os';
import { boolean, choice, integer, text } from '../../runtime/index.ts';

export const roleSetting = choice(['all', 'gateway', 'pipeline'], {
  default: 'all',
  doc: 'What this process does: everything; only take events in (gateway), for others on the same database to deliver; only deliver (pipeline), without a public port',
});

export const workspaceSettings = {
  file: text({
    default: '',
    doc: "Workspace configuration (JSON in RudderStack's shape, or the same in YAML). Empty: the starter workspace in the data folder",
  }),
};

export const dataSettings = {
  dir: text({ default: './sluice-data', doc: 'Folder for everything that must survive a restart' }),
};

export const postgresSettings = {
  url: text({ default: '', secret: true, doc: 'PostgreSQL 13 to 18 to use instead of the embedded server' }),
  connectTimeoutMs: integer({ default: 5_000, min: 100, max: 600_000, doc: 'Wait for one connection attempt' }),
  statementTimeoutMs: integer({
    default: 30_000,
    min: 100,
    max: 3_600_000,
    doc: 'Longest single statement on a job table',
  }),
};

export const adminSettings = {
  host: text({ default: '127.0.0.1', doc: 'Address of the admin server (status, metrics, health)' }),
  port: integer({ default: 8081, min: 0, max: 65_535, doc: 'Port of the admin server; 0 picks a free one' }),
  token: text({
    default: '',
    secret: true,
    doc: 'Secret asked of every admin request (bearer token or Basic password) and of /internal of the gateway. Empty: the admin server stays on this machine, /internal is closed',
  }),
};

export const threadSettings = {
  actors: integer({
    default: Math.min(256, Math.max(1, availableParallelism() - 2)),
    min: 1,
    max: 256,
    doc: 'Actor threads (processor and router); default: cores - 2, at least 1',
    defaultText: 'cores - 2, at least 1',
  }),
  adaptiveLimit: boolean({
    default: true,
    doc: 'While less than 30 % of the memory that the process may use is free, partitions hold ever fewer jobs; below 10 % one at a time',
  }),
};

export const drainSettings = {
  deadlineMs: integer({
    default: 25_000,
    min: 0,
    max: 3_600_000,
    doc: 'Time a clean stop may take before it is cut short',
  }),
};

export const logSettings = {
  level: choice(['debug', 'info', 'warn', 'error'], { default: 'info', doc: 'Least severe log line written' }),
  format: choice(['auto', 'json', 'pretty'], {
    default: 'auto',
    doc: 'auto: pretty on a terminal, JSON otherwise',
  }),
};

export const starterSettings = {
  receiverPort: integer({
    default: 8082,
    min: 0,
    max: 65_535,
    doc: "Port of the starter workspace's local receiver; 0 picks a free one",
  }),
};
