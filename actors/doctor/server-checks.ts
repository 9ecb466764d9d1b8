// Checks of the PostgreSQL that would keep the events: what it is, whether its promises hold, whether there is room for
// our connections and the right to make tables.

import {
  checkServer,
  describeServer,
  type PostgresSession,
  type ServerDescription,
  type ServerSubject,
} from '../../transport/index.ts';
import { judgeCommits, measureCommits } from './commit-latency.ts';
import { type Finding, failed, passed, warned } from './contract.ts';

export interface ServerCheckOptions {
  session: PostgresSession;
  /** Connections a running Sluice has open. */
  connectionsNeeded: number;
  nowMs(): number;
  monotonicMs(): number;
}

const skewWarnMs = 1_000;

export async function checkPostgres(options: ServerCheckOptions): Promise<Finding[]> {
  const { session } = options;
  const server = await describeServer(session);
  const findings = [
    bySubject(server, 'version', `PostgreSQL ${server.version}`),
    bySubject(server, 'role', 'a primary: it takes writes'),
    bySubject(server, 'encoding', server.encoding),
    durability(server),
  ];
  // Nothing can be written on a standby, so nothing more can be said.
  if (server.inRecovery) return findings;
  const latency = await measureCommits(session, () => options.monotonicMs());
  return [
    ...findings,
    judgeCommits(latency, server.fsync),
    await sharedMemory(session),
    await connections(session, options.connectionsNeeded),
    await clockSkew(options),
    await extensions(session),
    await rights(session),
  ];
}

function bySubject(server: ServerDescription, subject: ServerSubject, found: string): Finding {
  const [problem] = checkServer(server).filter((one) => one.subject === subject);
  if (problem === undefined) return passed(subject, found);
  return (problem.severity === 'error' ? failed : warned)(subject, problem.message, problem.fix);
}

/** A start goes on with a warning, for tests; whoever asks a doctor wants the promise to hold. */
function durability(server: ServerDescription): Finding {
  const problems = checkServer(server).filter(({ subject }) => subject === 'durability');
  const { fsync, synchronousCommit, fullPageWrites } = server;
  const found = `fsync=${fsync}, synchronous_commit=${synchronousCommit}, full_page_writes=${fullPageWrites}`;
  if (problems.length === 0) return passed('durability', found);
  return failed(
    'durability',
    problems.map(({ message }) => message).join(' '),
    problems.map(({ fix }) => fix).join(' '),
  );
}

async function sharedMemory(session: PostgresSession): Promise<Finding> {
  const { rows } = await session.query<{ type: string; buffers: string }>(
    "select current_setting('dynamic_shared_memory_type') as type, current_setting('shared_buffers') as buffers",
  );
  const { type = '', buffers = '' } = rows[0] ?? {};
  const found = `shared_buffers=${buffers}, dynamic_shared_memory_type=${type}`;
  if (type !== 'mmap') return passed('shared memory', found);
  return warned(
    'shared memory',
    `${found}: dynamic shared memory is kept in files`,
    'Set dynamic_shared_memory_type = posix.',
  );
}

interface ConnectionRow {
  max: number;
  reserved: number;
  used: number;
  role_max: number;
  database_max: number;
}

async function connections(session: PostgresSession, needed: number): Promise<Finding> {
  const { rows } = await session.query<ConnectionRow>(`
    select current_setting('max_connections')::int as max,
      current_setting('superuser_reserved_connections')::int as reserved,
      (select count(*)::int from pg_stat_activity
        where backend_type = 'client backend' and application_name not like 'sluice%') as used,
      (select rolconnlimit from pg_roles where rolname = current_user) as role_max,
      (select datconnlimit from pg_database where datname = current_database()) as database_max`);
  const { max = 0, reserved = 0, used = 0, role_max = -1, database_max = -1 } = rows[0] ?? {};
  const limits = [max - reserved - used, ...[role_max, database_max].filter((limit) => limit >= 0)];
  const free = Math.min(...limits);
  const found = `${free} for Sluice, which needs ${needed} (max_connections=${max}, ${used} used by others)`;
  if (free >= needed) return passed('connections', found);
  return failed(
    'connections',
    found,
    `Raise max_connections, or the limit of the role or database, to make ${needed} free.`,
  );
}

async function clockSkew({ session, nowMs }: ServerCheckOptions): Promise<Finding> {
  const beforeMs = nowMs();
  const { rows } = await session.query<{ ms: number }>(
    'select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as ms',
  );
  const afterMs = nowMs();
  const server = Number(rows[0]?.ms ?? 0);
  const skewMs = server < beforeMs ? beforeMs - server : Math.max(0, server - afterMs);
  const found = `this machine and the server differ by ${skewMs} ms`;
  if (skewMs <= skewWarnMs) return passed('clock', found);
  return warned('clock', found, 'Let both follow a time server (NTP): ages and retention are told by both.');
}

async function extensions(session: PostgresSession): Promise<Finding> {
  const { rowCount } = await session.query("select 1 from pg_language where lanname = 'plpgsql'");
  if (rowCount > 0) return passed('extensions', 'none needed');
  return failed('extensions', 'the language plpgsql is missing', 'Run: CREATE EXTENSION plpgsql.');
}

/** By trial, because rights come from many places. */
async function rights(session: PostgresSession): Promise<Finding> {
  try {
    await session.query('begin; create table sluice_doctor_trial (n int)');
    return passed('rights', 'tables may be made in this database');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const grant =
      'Run as its owner: GRANT CREATE ON SCHEMA public TO the user of the URL, or give it a database of its own.';
    return failed('rights', `no table can be made: ${reason}`, grant);
  } finally {
    if (session.broken === undefined) await session.query('rollback');
  }
}
