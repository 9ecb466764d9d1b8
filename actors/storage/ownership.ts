// Who may write a lane. The owner holds a session advisory lock for as long as its connection lives, and an epoch
// that every commit checks inside Postgres: a writer that was replaced while it was away cannot commit any more.

import { strict as assert } from 'node:assert';
import { type Postgres, type PostgresSession, TransportError } from '../../transport/index.ts';
import { firstJobIdOf } from './datasets.ts';

/** First key of the advisory locks; the second is the lane. The fence (0001-jobs.sql) uses 725101. */
export const ownerLockClass = 725_102;
/** The second key is the number of a member (lease-session.ts). */
export const memberLockClass = 725_103;
/** Shared by all processes on the database, whatever they do there; the second key is 0. */
export const presenceLockClass = 725_105;
/** The second key is the number of an inbox: its writer holds it while rows may still come. */
export const inboxLockClass = 725_104;
const fenceLockClass = 725_101;
/** Ids reserved at once. A restart skips what is left of a block; 2^44 ids per lane last for ever. */
export const jobIdBlock = 1_048_576;

export interface LaneOwnership {
  lane: number;
  epoch: number;
  nextJobId: number;
  /** First id that is not ours any more. */
  blockEnd: number;
}

/** Another process owns the lane. */
export class LaneOwnedError extends TransportError {
  constructor(lane: number) {
    super('LANE_OWNED', `lane ${lane} of this database is owned by another running Sluice process`, {
      retryable: true,
    });
    this.name = 'LaneOwnedError';
  }
}

/** What a writer had whose connection broke. */
export interface FormerOwnership {
  epoch: number;
  /** The server process of that connection. */
  backendPid: number;
}

/**
 * Takes the lane over: waits for no one, fences every older writer. Throws LaneOwnedError when it is held. A writer that
 * only lost its connection says what it had: when somebody else had the lane since, what the writer knows of it is
 * worthless, and it is fenced. When it is only the server that has not noticed the loss, its end of it is cut.
 */
export async function takeLane(
  session: PostgresSession,
  lane: number,
  owner: string,
  before?: FormerOwnership,
): Promise<LaneOwnership> {
  const lock = await session.query<{ held: boolean }>('select pg_try_advisory_lock($1::int, $2::int) as held', [
    ownerLockClass,
    lane,
  ]);
  if (lock.rows[0]?.held !== true) {
    if (before === undefined) throw new LaneOwnedError(lane);
    await checkEpoch(session, lane, before.epoch);
    await endFormerSession(session, lane, before.backendPid);
    throw new LaneOwnedError(lane);
  }
  await session.query('begin');
  try {
    // Waits for transactions of the former owner that passed the fence; later ones see the new epoch.
    await session.query('select pg_advisory_xact_lock($1::int, $2::int)', [fenceLockClass, lane]);
    if (before !== undefined) await checkEpoch(session, lane, before.epoch);
    const { rows } = await session.query<{ epoch: number; next_job_id: number }>(
      `insert into sluice_lanes as l (lane, epoch, next_job_id, owner) values ($1, 1, $2, $3)
       on conflict (lane) do update
         set epoch = l.epoch + 1, next_job_id = l.next_job_id + $4, owner = excluded.owner, taken_at = now()
       returning epoch, next_job_id`,
      [lane, firstJobIdOf(lane) + jobIdBlock, owner, jobIdBlock],
    );
    await session.query('commit');
    const [row] = rows;
    assert.ok(row, 'expected the lane row that was just written');
    return { lane, epoch: row.epoch, nextJobId: row.next_job_id - jobIdBlock, blockEnd: row.next_job_id };
  } catch (error) {
    if (session.broken === undefined) await session.query('rollback').catch(() => undefined);
    throw error;
  }
}

/**
 * A network that swallows everything leaves the server with a session that it believes in, and that session with the
 * lane. Only the process that itself held the lock is ended; the next attempt finds it free.
 */
async function endFormerSession(session: PostgresSession, lane: number, backendPid: number): Promise<void> {
  await session.query(
    `select pg_terminate_backend(pid) from pg_locks
     where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
       and classid = $1 and objid = $2 and objsubid = 2 and granted and pid = $3`,
    [ownerLockClass, lane, backendPid],
  );
}

async function checkEpoch(session: PostgresSession, lane: number, epoch: number): Promise<void> {
  const { rows } = await session.query<{ epoch: number }>('select epoch from sluice_lanes where lane = $1', [lane]);
  if (rows[0]?.epoch === epoch) return;
  throw new TransportError('LANE_FENCED', `lane ${lane} was taken over by another process meanwhile`, {});
}

/** A new connection that owns the lane. */
export async function connectLane(
  { postgres, lane, owner }: { postgres: Postgres; lane: number; owner: string },
  before?: FormerOwnership,
): Promise<{ session: PostgresSession; ownership: LaneOwnership }> {
  const session = await postgres.session();
  try {
    return { session, ownership: await takeLane(session, lane, owner, before) };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Makes sure that `count` ids are left, reserving further blocks when they are not. */
export async function reserveJobIds(session: PostgresSession, owned: LaneOwnership, count: number): Promise<void> {
  if (owned.nextJobId + count <= owned.blockEnd) return;
  const blocks = Math.ceil(count / jobIdBlock) * jobIdBlock;
  const { rows } = await session.query<{ next_job_id: number }>(
    'update sluice_lanes set next_job_id = next_job_id + $2 where lane = $1 and epoch = $3 returning next_job_id',
    [owned.lane, blocks, owned.epoch],
  );
  const [row] = rows;
  if (row === undefined) {
    throw new TransportError('LANE_FENCED', `lane ${owned.lane} was taken over by another process`, {});
  }
  owned.blockEnd = row.next_job_id;
}

/** True while somebody runs on this database, or died so recently that Postgres has not noticed. */
export async function isInUse(session: PostgresSession): Promise<boolean> {
  const { rowCount } = await session.query(
    `select 1 from pg_locks
     where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
       and classid = any($1) and objsubid = 2 and granted limit 1`,
    [[ownerLockClass, presenceLockClass]],
  );
  return rowCount > 0;
}

/** Somebody else has the lane now. */
export function isFenced(error: unknown): boolean {
  if (!(error instanceof TransportError)) return false;
  return error.code === 'LANE_FENCED' || Reflect.get(error, 'category') === 'fenced';
}
