// Takes over what other processes stored for a lane of ours (inbox-writer.ts): each row of an inbox is replayed as the
// commit it was, and the inbox's position moves on in the same transaction, so that a crash at any point neither loses
// nor repeats one. Inboxes of one writer are taken one after the other, rows in the order of their commits.

import type { ActorLog, Replier } from '../../runtime/index.ts';
import type { Postgres, PostgresSession } from '../../transport/index.ts';
import type { Commit, CommitReply, InboxCounts, LedgerDelta } from './contract.ts';
import type { ImportPosition } from './group.ts';
import { inboxTable } from './inbox-writer.ts';
import { inboxLockClass } from './ownership.ts';

/** Read and replayed at once; a single row may be larger. */
const batchBytesMax = 4 * 1024 * 1024;

export interface InboxImportOptions {
  lane: number;
  postgres: Postgres;
  log: ActorLog;
  /** Begins every transaction: refuses it once another process has the lane. */
  fenceSql(): string;
  commit(commit: Commit, replier: Replier, imported: ImportPosition): void;
}

interface Inbox {
  number: number;
  writer: string;
}

interface Entry {
  position: number;
  rows: Buffer;
  count: number;
  ledger: string;
}

export class InboxImport {
  readonly #options: InboxImportOptions;
  readonly #positions = new Map<number, number>();
  #round: Promise<void> | undefined;
  #isAskedAgain = false;
  #isStopped = false;

  constructor(options: InboxImportOptions) {
    this.#options = options;
  }

  /** Resolves when everything that is there now is taken over. Rejects when Postgres or the lane is lost. */
  run(): Promise<void> {
    if (this.#round !== undefined) {
      this.#isAskedAgain = true;
      return this.#round;
    }
    this.#round = this.#all().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** Ends after the batch in hand. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#round?.catch(() => undefined);
  }

  async #all(): Promise<void> {
    do {
      this.#isAskedAgain = false;
      let isMore = true;
      while (isMore && !this.#isStopped) isMore = await this.#takeTurns();
    } while (this.#isAskedAgain && !this.#isStopped);
  }

  /** One batch of every writer's oldest inbox. False when there was nothing to do any more. */
  async #takeTurns(): Promise<boolean> {
    const { rows } = await this.#options.postgres.query<Inbox>(
      'select number, writer from sluice_inboxes where lane = $1 order by number',
      [this.#options.lane],
    );
    const writers = new Set<string>();
    let isMore = false;
    for (const inbox of rows) {
      if (writers.has(inbox.writer) || this.#isStopped) continue;
      writers.add(inbox.writer);
      const taken = await this.#takeBatch(inbox.number);
      // An inbox that is gone makes room for the next one of its writer.
      if (taken > 0 || (await this.#retire(inbox.number))) isMore = true;
    }
    return isMore;
  }

  async #takeBatch(number: number): Promise<number> {
    const { postgres } = this.#options;
    const position = await this.#positionOf(number);
    const { rows: entries } = await postgres.query<Entry>(
      `select position, rows, count, ledger from (
         select *, sum(octet_length(rows)) over (order by position) - octet_length(rows) as before
         from (select * from ${inboxTable(number)} where position > $1 order by position limit 1000) as next
       ) as batch where before < $2 order by position`,
      [position, batchBytesMax],
    );
    await Promise.all(entries.map((entry) => this.#replay(number, entry)));
    const last = entries.at(-1);
    if (last !== undefined) this.#positions.set(number, last.position);
    return entries.length;
  }

  async #positionOf(number: number): Promise<number> {
    const known = this.#positions.get(number);
    if (known !== undefined) return known;
    const { rows } = await this.#options.postgres.query<{ position: number }>(
      'select coalesce(max(position), 0) as position from sluice_inbox_positions where inbox = $1',
      [number],
    );
    return rows[0]?.position ?? 0;
  }

  async #replay(inbox: number, { position, rows, count, ledger }: Entry): Promise<void> {
    const counted: LedgerDelta[] | InboxCounts = JSON.parse(ledger);
    const counts = Array.isArray(counted) ? { ledger: counted } : counted;
    const commit: Commit = { kind: 'commit', jobs: [{ queue: 'gw', rows, count }], results: [], ...counts };
    const reply = await new Promise<CommitReply>((resolve, reject) => {
      const replier: Replier = {
        deadlineMs: Number.POSITIVE_INFINITY,
        reply: (value) => resolve(value as CommitReply),
        fail: reject,
      };
      this.#options.commit(commit, replier, { inbox, position });
    });
    if (reply.kind !== 'refused') return;
    // Acknowledged, and yet not what Postgres takes: kept aside, because the rows behind it must go on.
    this.#options.log.error(
      { inbox, position, sqlState: reply.sqlState },
      `stored events were refused: ${reply.reason}`,
    );
    const fence = this.#options.fenceSql();
    await this.#options.postgres.withSession(async (session) => {
      await transaction(session, fence, () =>
        session.query(
          `with kept as (
             insert into sluice_inbox_refused (inbox, position, rows, reason) values ($1, $2, $3, $4) returning inbox, position
           )
           insert into sluice_inbox_positions (inbox, position) select inbox, position from kept`,
          [inbox, position, rows, reply.reason],
        ),
      );
    });
  }

  /** True when the writer has left it and everything was taken over: then it is gone. */
  async #retire(number: number): Promise<boolean> {
    const position = await this.#positionOf(number);
    return this.#options.postgres.withSession((session) =>
      transaction(session, this.#options.fenceSql(), async () => {
        const lock = await session.query<{ ended: boolean }>(
          'select pg_try_advisory_xact_lock($1::int, $2::int) as ended',
          [inboxLockClass, number],
        );
        if (lock.rows[0]?.ended !== true) return false;
        const left = await session.query(`select 1 from ${inboxTable(number)} where position > $1 limit 1`, [position]);
        if (left.rowCount > 0) return true;
        await session.query(
          `drop table ${inboxTable(number)};
           delete from sluice_inboxes where number = ${number};
           delete from sluice_inbox_positions where inbox = ${number}`,
        );
        this.#positions.delete(number);
        return true;
      }),
    );
  }
}

async function transaction<Value>(session: PostgresSession, first: string, work: () => Promise<Value>): Promise<Value> {
  try {
    await session.query(`begin; ${first}`);
    const value = await work();
    await session.query('commit');
    return value;
  } catch (error) {
    if (session.broken === undefined) await session.query('rollback').catch(() => undefined);
    throw error;
  }
}
