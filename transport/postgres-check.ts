// What the server we were given is, and whether our promises hold on it: an operator's own PostgreSQL may be too old,
// or may acknowledge commits it can lose.

import type { PostgresSession } from './postgres-session.ts';

export interface ServerDescription {
  /** As the server prints it, e.g. 18.4. */
  version: string;
  /** e.g. 180004. */
  versionNumber: number;
  fsync: string;
  synchronousCommit: string;
  fullPageWrites: string;
  maxConnections: number;
  walLevel: string;
  encoding: string;
  /** True on a standby: nothing can be stored there. */
  inRecovery: boolean;
  /** Undefined when our role may not see it. */
  dataDirectory: string | undefined;
}

/** What a problem is about. */
export type ServerSubject = 'version' | 'role' | 'encoding' | 'durability' | 'connections';

export interface ServerProblem {
  subject: ServerSubject;
  /** error: Sluice must not start on it. warning: it works, but a promise is weaker. */
  severity: 'error' | 'warning';
  /** One sentence. */
  message: string;
  /** One sentence. */
  fix: string;
}

const majorMin = 13;
const majorTestedMax = 18;
const connectionsMin = 16;

export async function describeServer(session: PostgresSession): Promise<ServerDescription> {
  const { rows } = await session.query<ServerDescription>(`
    SELECT current_setting('server_version') AS "version",
      current_setting('server_version_num')::int AS "versionNumber",
      current_setting('fsync') AS "fsync",
      current_setting('synchronous_commit') AS "synchronousCommit",
      current_setting('full_page_writes') AS "fullPageWrites",
      current_setting('max_connections')::int AS "maxConnections",
      current_setting('wal_level') AS "walLevel",
      current_setting('server_encoding') AS "encoding",
      pg_is_in_recovery() AS "inRecovery",
      CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END
        AS "dataDirectory"`);
  const [description] = rows;
  if (description === undefined) throw new Error('expected one row that describes the server, got none');
  return { ...description, dataDirectory: description.dataDirectory ?? undefined };
}

/** Errors first. Empty when all is well. */
export function checkServer(server: ServerDescription): ServerProblem[] {
  const problems: ServerProblem[] = [];
  const report = (
    severity: ServerProblem['severity'],
    subject: ServerSubject,
    wrong: boolean,
    message: string,
    fix: string,
  ): void => {
    if (wrong) problems.push({ subject, severity, message, fix });
  };
  const major = Math.floor(server.versionNumber / 10_000);
  report(
    'error',
    'version',
    major < majorMin,
    `PostgreSQL ${server.version} is older than ${majorMin}, the oldest that Sluice supports.`,
    `Use PostgreSQL ${majorMin} to ${majorTestedMax}.`,
  );
  report(
    'error',
    'role',
    server.inRecovery,
    'This PostgreSQL is a standby: nothing can be stored on it.',
    'Point SLUICE_POSTGRES_URL to the primary.',
  );
  report(
    'error',
    'encoding',
    server.encoding !== 'UTF8',
    `The database has the encoding ${server.encoding}; events need UTF8.`,
    "Create it anew with ENCODING 'UTF8'.",
  );
  report(
    'warning',
    'durability',
    server.fsync !== 'on',
    'fsync is off: a power loss may destroy the whole database, acknowledged events included.',
    'Set fsync = on and restart PostgreSQL.',
  );
  report(
    'warning',
    'durability',
    server.synchronousCommit === 'off',
    'synchronous_commit is off in this session: acknowledged events may be lost by a crash.',
    'Remove what turns it off for this role or database.',
  );
  report(
    'warning',
    'durability',
    server.fullPageWrites !== 'on',
    'full_page_writes is off: a power loss in the middle of a write may damage tables.',
    'Set full_page_writes = on unless the file system never tears a page.',
  );
  report(
    'warning',
    'connections',
    server.maxConnections < connectionsMin,
    `max_connections is ${server.maxConnections}: too few for storage lanes, maintenance and status together.`,
    `Set max_connections to ${connectionsMin} or more.`,
  );
  report(
    'warning',
    'version',
    major > majorTestedMax,
    `PostgreSQL ${server.version} is newer than any this version of Sluice was tested with.`,
    'Watch the first hours, or upgrade Sluice.',
  );
  return problems;
}
