// The connection by which a process takes part among others on one database: an advisory lock says that it is there for
// as long as the connection lives, one statement shows who else is and which lanes are held, and NOTIFY brings what
// should not wait for the next look. Nothing is written: a member that dies leaves nothing behind.

import type { Postgres, PostgresSession } from '../../transport/index.ts';
import { memberLockClass, ownerLockClass, presenceLockClass } from './ownership.ts';

const channel = 'sluice';

export type LeaseNews =
  /** A member is short of lanes. */
  | { kind: 'short' }
  /** A lane was given back. */
  | { kind: 'freed' }
  /** Somebody stored events for a lane that it does not own. */
  | { kind: 'stored'; lane: number };

export interface LeaseSight {
  members: number[];
  held: Set<number>;
  /** Lanes for which others have stored events. */
  inboxes: Set<number>;
}

/** SQL that tells all processes; part of the sender's transaction. */
export function newsSql(news: LeaseNews): string {
  return `notify ${channel}, '${news.kind === 'stored' ? `stored ${news.lane}` : news.kind}'`;
}

export class LeaseSession {
  readonly #session: PostgresSession;
  /** Our number among the members; 0: we only look. */
  readonly member: number;

  private constructor(session: PostgresSession, member: number) {
    this.#session = session;
    this.member = member;
  }

  /** `isMember` false: sees the others, but takes no part. */
  static async open(postgres: Postgres, isMember: boolean, onNews: (news: LeaseNews) => void): Promise<LeaseSession> {
    const session = await postgres.session();
    try {
      session.onNotification((payload) => {
        const news = parseNews(payload);
        if (news !== undefined) onNews(news);
      });
      await session.query(`listen ${channel}; select pg_advisory_lock_shared(${presenceLockClass}, 0)`);
      if (!isMember) return new LeaseSession(session, 0);
      const { rows } = await session.query<{ number: number }>(
        `with joined as materialized (select nextval('sluice_members') as number)
         select number, pg_advisory_lock($1::int, number::int) from joined`,
        [memberLockClass],
      );
      return new LeaseSession(session, rows[0]?.number ?? 0);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  get isBroken(): boolean {
    return this.#session.broken !== undefined;
  }

  async look(): Promise<LeaseSight> {
    const { rows } = await this.#session.query<[string, number]>(
      `select case classid when ${memberLockClass} then 'member' else 'held' end, objid::bigint from pg_locks
         where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
           and classid in (${memberLockClass}, ${ownerLockClass}) and objsubid = 2 and granted
       union all select distinct 'inbox', lane::bigint from sluice_inboxes`,
      [],
      { asArrays: true },
    );
    const of = (kind: string): number[] => rows.filter(([one]) => one === kind).map(([, number]) => number);
    return { members: of('member'), held: new Set(of('held')), inboxes: new Set(of('inbox')) };
  }

  async tell(news: LeaseNews): Promise<void> {
    await this.#session.query(newsSql(news));
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

function parseNews(payload: string): LeaseNews | undefined {
  if (payload === 'short' || payload === 'freed') return { kind: payload };
  const [, lane] = /^stored (\d+)$/.exec(payload) ?? [];
  return lane === undefined ? undefined : { kind: 'stored', lane: Number(lane) };
}
