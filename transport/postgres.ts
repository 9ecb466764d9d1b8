// The door to PostgreSQL: opens sessions (one dedicated connection each, for a storage lane) and runs occasional
// queries on a small pool. pg-promise owns connections and pool; queries go to the driver beneath it as real bind
// parameters, because client-side formatting of bytes costs several times the insert itself.

import type pgPromise from 'pg-promise';
import { loadPgPromise } from './heavy-modules.ts';
import { toPostgresError } from './postgres-error.ts';
import { type PostgresClient, PostgresSession, type QueryOptions, type QueryResult } from './postgres-session.ts';

export { type ArrayElementType, encodeBinaryArray, encodeColumns } from './postgres-binary.ts';
export { fencedSqlState, PostgresError, type PostgresErrorCategory } from './postgres-error.ts';
export {
  type CallOptions,
  type CopyOutOptions,
  PostgresSession,
  type PreparedStatement,
  type QueryOptions,
  type QueryResult,
} from './postgres-session.ts';

/** Where the server is. Plain data: it may cross threads. */
export type PostgresAddress = { url: string } | { socketDir: string; port: number; user: string; database: string };

export interface PostgresOptions {
  address: PostgresAddress;
  /** Shown by pg_stat_activity. */
  applicationName: string;
  /** Longest statement, enforced by the server; our watchdog cuts the connection a little later. Default 30,000. */
  statementTimeoutMs?: number;
  /** Longest wait for a lock, enforced by the server. Default 10,000. */
  lockTimeoutMs?: number;
  /** The server ends a session that does nothing in an open transaction for this long. Default 60,000. */
  idleInTransactionTimeoutMs?: number;
  /** Default 5,000. */
  connectTimeoutMs?: number;
  /** Longest wait for a reply before the connection is cut. Default: statementTimeoutMs and 1,000 to 5,000 more. */
  watchdogMs?: number;
  /** Connections for `query` and `withSession`. Sessions of `session()` do not count. Default 4. */
  poolMax?: number;
}

export interface Postgres {
  /** A connection of one's own, until `close`. */
  session(): Promise<PostgresSession>;
  /** Lends a session of the pool; it is taken out of the pool if it broke meanwhile. */
  withSession<Value>(work: (session: PostgresSession) => Promise<Value>): Promise<Value>;
  /** One statement on a session of the pool. */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<QueryResult<Row>>;
  /** Closes the pool; dedicated sessions are their owners' to close. */
  close(): Promise<void>;
}

/** For the server's own answer that the statement took too long. */
const watchdogGraceMsMin = 1_000;
const watchdogGraceMsMax = 5_000;
const keepAliveDelayMs = 10_000;
const closeTimeoutMs = 2_000;
const int8Oid = 20;

let loadedDriver: pgPromise.IMain<unknown, PostgresClient> | undefined;

/** One for the thread; its first caller loads it. */
function driver(): pgPromise.IMain<unknown, PostgresClient> {
  loadedDriver ??= loadPgPromise()<unknown, PostgresClient>({ noWarnings: true });
  return loadedDriver;
}

/** Connects to nothing yet: the first session does. */
export function openPostgres(options: PostgresOptions): Postgres {
  const statementTimeoutMs = options.statementTimeoutMs ?? 30_000;
  const watchdogMs = options.watchdogMs ?? statementTimeoutMs + watchdogGraceMs(statementTimeoutMs);
  const settings = sessionSettings(options, statementTimeoutMs);
  const database = driver()(driverConfig(options));
  const prepared = new WeakSet<PostgresClient>();

  const open = async (direct: boolean): Promise<PostgresSession> => {
    let connected: pgPromise.IConnected<unknown, PostgresClient>;
    try {
      connected = await database.connect({ direct });
    } catch (error) {
      throw toPostgresError(error, true);
    }
    const { client } = connected;
    const session = new PostgresSession(client, watchdogMs, (broken) => {
      if (!direct && !broken) session.detach();
      return connected.done(broken);
    });
    if (prepared.has(client)) return session;
    try {
      await session.query(settings);
    } catch (error) {
      await session.close();
      throw error;
    }
    prepared.add(client);
    return session;
  };

  const withSession = async <Value>(work: (session: PostgresSession) => Promise<Value>): Promise<Value> => {
    const session = await open(false);
    try {
      return await work(session);
    } catch (error) {
      // What failed may have been half of a transaction, which whoever is lent the session next must not find.
      if (session.broken === undefined) await session.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      await session.close();
    }
  };

  return {
    session: () => open(true),
    withSession,
    query: (text, values, queryOptions) => withSession((session) => session.query(text, values, queryOptions)),
    close: async () => {
      // A server that does not say good-bye is not waited for: its sessions end with the process at the latest.
      let gaveUp: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        gaveUp = setTimeout(resolve, closeTimeoutMs);
      });
      try {
        await Promise.race([database.$pool.end(), late]);
      } finally {
        clearTimeout(gaveUp);
      }
    },
  };
}

function watchdogGraceMs(statementTimeoutMs: number): number {
  return Math.min(watchdogGraceMsMax, Math.max(watchdogGraceMsMin, statementTimeoutMs));
}

function driverConfig(options: PostgresOptions): Record<string, unknown> {
  const { address } = options;
  const place =
    'url' in address
      ? { connectionString: address.url }
      : { host: address.socketDir, port: address.port, user: address.user, database: address.database, password: '' };
  return {
    ...place,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveDelayMs,
    max: options.poolMax ?? 4,
    allowExitOnIdle: true,
    types: { getTypeParser: typeParser },
  };
}

/** int8 as a number where that is exact, else as a bigint; everything else as the driver does it. */
function typeParser(oid: number, format?: 'text' | 'binary'): unknown {
  if (oid === int8Oid && format !== 'binary') return parseInt8;
  return driver().pg.types.getTypeParser(oid, format);
}

function parseInt8(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** What every session of ours is set to, whatever the server's own configuration says. */
function sessionSettings(options: PostgresOptions, statementTimeoutMs: number): string {
  const values: readonly [string, string | number][] = [
    ['statement_timeout', statementTimeoutMs],
    ['lock_timeout', options.lockTimeoutMs ?? 10_000],
    ['idle_in_transaction_session_timeout', options.idleInTransactionTimeoutMs ?? 60_000],
    // `remote_apply` and the like of the operator's own server are stronger than we need, `off` would break P1.
    ['synchronous_commit', 'on'],
    // A client that is gone without a word (its host is, or the network) gives its locks back within ten seconds.
    ['tcp_keepalives_idle', 3],
    ['tcp_keepalives_interval', 2],
    ['tcp_keepalives_count', 3],
    ['tcp_user_timeout', 9_000],
    ['jit', 'off'],
    ['client_encoding', 'UTF8'],
    ['datestyle', 'ISO'],
  ];
  return `SELECT ${values.map(([name, value]) => `set_config('${name}', '${value}', false)`).join(', ')}`;
}
