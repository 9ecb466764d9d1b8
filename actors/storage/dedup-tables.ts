// What a lane keeps of message ids that were processed: one insert-only row for each commit, in its transaction, with
// eight bytes for each id. Tables are begun anew as time goes on and dropped whole once no event can come any more that
// is a duplicate of what they hold. Read back only when a partition is opened by a session that does not know it all.

import type { Replier } from '../../runtime/index.ts';
import type { Postgres, PostgresSession } from '../../transport/index.ts';
import type { QueueName } from '../job.ts';
import type { HandedJobs, PartitionResults, ReadSeen, SeenFound, SeenIds } from './contract.ts';
import type { DatasetList } from './dataset-list.ts';
import { dedupTable } from './datasets.ts';
import { type Fence, fenceSql } from './group-writer.ts';

/** How long one table is written to. */
const tableAgeMs = 900_000;
const rowsPerPage = 500;
/** Stands for a session of another time: whoever opens the partition must read. */
const unknownSession = -1;

interface DedupTable {
  number: number;
  createdAtMs: number;
  /** Everything in it is forgotten then, in the time of the events' receipt. 0: it is empty. */
  expiresMs: number;
}

interface Mark {
  session: number;
  expiresMs: number;
}

export class DedupTables {
  readonly #lane: number;
  /** Oldest first; the last one is written to. */
  #tables: DedupTable[];
  /** Partitions that something is remembered of. */
  readonly #marks: Map<string, Mark>;

  private constructor(lane: number, tables: DedupTable[], marks: Map<string, Mark>) {
    this.#lane = lane;
    this.#tables = tables;
    this.#marks = marks;
  }

  static async recover(session: PostgresSession, lane: number): Promise<DedupTables> {
    const { rows } = await session.query<{ number: number; created_ms: number }>(
      `select number, floor(extract(epoch from created_at) * 1000)::bigint as created_ms from sluice_datasets
       where lane = $1 and queue = 'dedup' order by number`,
      [lane],
    );
    const tables = rows.map(({ number, created_ms }) => ({ number, createdAtMs: created_ms, expiresMs: 0 }));
    const marks = new Map<string, Mark>();
    for (const table of tables) {
      const { rows: kept } = await session.query<{ partition: string; expires_ms: number }>(
        `select partition, max(seen_ms + window_ms * 5 / 4) as expires_ms
         from ${dedupTable(lane, table.number)} group by partition`,
      );
      for (const { partition, expires_ms: expiresMs } of kept) {
        table.expiresMs = Math.max(table.expiresMs, expiresMs);
        const before = marks.get(partition)?.expiresMs ?? 0;
        marks.set(partition, { session: unknownSession, expiresMs: Math.max(before, expiresMs) });
      }
    }
    if (tables.length === 0) {
      await session.query(createTableSql(lane, 1));
      tables.push({ number: 1, createdAtMs: 0, expiresMs: 0 });
    }
    return new DedupTables(lane, tables, marks);
  }

  /** The table that commits write to. */
  get current(): string {
    return dedupTable(this.#lane, this.#tables.at(-1)?.number ?? 1);
  }

  /** Tells the consumer of `gw` jobs who was the last to add to what is remembered of its partition. */
  mark(queue: QueueName, partition: string, message: HandedJobs): HandedJobs {
    const seenMark = queue === 'gw' ? (this.#marks.get(partition)?.session ?? 0) : 0;
    return seenMark === 0 ? message : { ...message, seenMark };
  }

  /** After the commit that wrote them. */
  committed({ partition, session, seen = [] }: PartitionResults): void {
    for (const { seenMs, windowMs } of seen) {
      const expiresMs = expiryOf(seenMs, windowMs);
      const known = this.#marks.get(partition);
      if (known === undefined) this.#marks.set(partition, { session, expiresMs });
      else {
        known.session = session;
        known.expiresMs = Math.max(known.expiresMs, expiresMs);
      }
      this.#lastsUntil(this.#tables.at(-1), expiresMs);
      // The next one may have been begun while the commit was in flight.
      this.#lastsUntil(this.#tables.at(-2), expiresMs);
    }
  }

  async answer(postgres: Postgres, question: ReadSeen, replier: Replier): Promise<void> {
    let found: SeenFound;
    try {
      found = await this.read(postgres, question);
    } catch (error) {
      found = { kind: 'seenUnread', reason: String(error) };
    }
    replier.reply(found);
  }

  /** One page. Tables that are dropped meanwhile hold nothing that is asked for; the caller asks again. */
  async read(postgres: Postgres, { partition, afterGroupId, receivedAtMs }: ReadSeen): Promise<SeenFound> {
    const parts = this.#tables.map(
      ({ number }) => `select group_id, window_ms, seen_ms, hashes from ${dedupTable(this.#lane, number)}
        where partition = $1 and group_id > $2 and seen_ms + window_ms * 5 / 4 >= $3`,
    );
    const { rows } = await postgres.query<{ group_id: number; window_ms: number; seen_ms: number; hashes: Buffer }>(
      `${parts.join(' union all ')} order by group_id limit ${rowsPerPage}`,
      [partition, afterGroupId, receivedAtMs],
    );
    const seen = rows.map(
      ({ window_ms, seen_ms, hashes }): SeenIds => ({ windowMs: window_ms, seenMs: seen_ms, hashes }),
    );
    // The last group may have more rows: it is read again, and what is known already is not added twice.
    const next = rows.length < rowsPerPage ? undefined : (rows.at(-1)?.group_id ?? 0) - 1;
    return { kind: 'seenFound', seen, next };
  }

  /** `oldestMs`: events that are still pending were received from then on. */
  hasWork(nowMs: number, oldestMs: number): boolean {
    return this.#isRollDue(nowMs) || this.#expired(oldestMs).length > 0;
  }

  async maintain(session: PostgresSession, fence: Fence, nowMs: number, oldestMs: number): Promise<void> {
    for (const table of this.#expired(oldestMs)) {
      await session.query(dropTableSql(fence, table.number));
      this.#tables = this.#tables.filter((one) => one !== table);
    }
    for (const [partition, { expiresMs }] of this.#marks) if (expiresMs < oldestMs) this.#marks.delete(partition);
    if (!this.#isRollDue(nowMs)) return;
    const number = (this.#tables.at(-1)?.number ?? 0) + 1;
    await session.query(`${fenceSql(fence)} ${createTableSql(this.#lane, number)}`);
    this.#tables.push({ number, createdAtMs: nowMs, expiresMs: 0 });
  }

  #lastsUntil(table: DedupTable | undefined, expiresMs: number): void {
    if (table !== undefined) table.expiresMs = Math.max(table.expiresMs, expiresMs);
  }

  #isRollDue(nowMs: number): boolean {
    const table = this.#tables.at(-1);
    return table !== undefined && table.expiresMs > 0 && nowMs - table.createdAtMs >= tableAgeMs;
  }

  /** Without the last one, and the one before it, which a group in flight may still write to. */
  #expired(oldestMs: number): DedupTable[] {
    return this.#tables.slice(0, -2).filter(({ expiresMs }) => expiresMs < oldestMs);
  }
}

/** When the oldest gateway job that is not finished may have been received. */
export function oldestPendingMs(list: DatasetList | undefined, nowMs: number): number {
  const unfinished = list?.all.filter(({ rows, finished }) => finished < rows) ?? [];
  return unfinished.reduce((oldest, { createdAtMs }) => Math.min(oldest, createdAtMs), nowMs);
}

function expiryOf(seenMs: number, windowMs: number): number {
  return seenMs + (windowMs * 5) / 4;
}

function createTableSql(lane: number, number: number): string {
  const table = dedupTable(lane, number);
  return `create table if not exists ${table} (
      group_id bigint not null,
      partition text not null,
      window_ms bigint not null,
      seen_ms bigint not null,
      hashes bytea not null
    );
    alter table ${table} alter column hashes set storage external;
    create index if not exists ${table}_partition on ${table} (partition, group_id);
    insert into sluice_datasets (lane, queue, number, first_job_id) values (${lane}, 'dedup', ${number}, 0)
      on conflict do nothing`;
}

function dropTableSql(fence: Fence, number: number): string {
  return `${fenceSql(fence)} drop table if exists ${dedupTable(fence.lane, number)};
    delete from sluice_datasets where lane = ${fence.lane} and queue = 'dedup' and number = ${number}`;
}
