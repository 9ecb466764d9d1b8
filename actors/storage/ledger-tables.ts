// The tables of a lane's ledger: which one commits write to, and which wait to be folded into the totals. The totals are
// kept by minute for a week and by day for ever, so that they grow with the days and not with the minutes.

import type { PostgresSession } from '../../transport/index.ts';
import { ledgerTable } from './datasets.ts';
import { type Fence, fenceSql } from './group-writer.ts';
import { ledgerSides } from './ledger-balance.ts';

/** Ledger rows are folded once this many were written since the last time. */
const ledgerRowsMax = 200_000;
const dayMinutes = 1_440;
/** Totals of minutes that are closed are added up by day when they are older than this. */
const minutesKept = 7 * dayMinutes;
const dayFoldMs = 3_600_000;
/** Minutes of one source or way that are added up at once. */
const minutesFoldedMax = 20_000;

export class LedgerTables {
  #current: number;
  /** Nobody writes to them any more, but for a group that is in flight. */
  #old: number[];
  #rows = 0;
  #daysDueMs = 0;

  /** `numbers`: all tables, oldest first; the last one is written to. */
  constructor(numbers: readonly number[]) {
    this.#current = numbers.at(-1) ?? 1;
    this.#old = numbers.slice(0, -1);
  }

  /** The table that commits write to. */
  get current(): number {
    return this.#current;
  }

  hasWork(nowMs: number): boolean {
    return this.#old.length > 0 || this.#rows >= ledgerRowsMax || nowMs >= this.#daysDueMs;
  }

  /** Tells how many ledger rows a commit wrote. */
  written(rows: number): void {
    this.#rows += rows;
  }

  /** Folds what is old, and begins a new table when the present one has grown. `ledgerInUse`: a group in flight writes there. */
  async fold(
    session: PostgresSession,
    lane: { fence: Fence; ledgerInUse: number | undefined },
    nowMs: number,
  ): Promise<void> {
    if (nowMs >= this.#daysDueMs) {
      const isMore = await foldDays(session, lane.fence, Math.floor(nowMs / 60_000) - minutesKept);
      if (!isMore) this.#daysDueMs = nowMs + dayFoldMs;
    }
    for (const number of this.#old.filter((one) => one !== lane.ledgerInUse)) {
      await foldTable(session, lane.fence, number);
      this.#old = this.#old.filter((one) => one !== number);
    }
    if (this.#rows < ledgerRowsMax) return;
    const next = this.#current + 1;
    await createTable(session, lane.fence, next);
    // Folded in the next round: a group in flight may still write to the old table.
    this.#old.push(this.#current);
    this.#current = next;
    this.#rows = 0;
  }
}

async function createTable(session: PostgresSession, fence: Fence, number: number): Promise<void> {
  const { lane } = fence;
  await session.query(
    `${fenceSql(fence)} create table if not exists ${ledgerTable(lane, number)} (like ${ledgerTable(lane, number - 1)} including all);
     insert into sluice_datasets (lane, queue, number, first_job_id) values (${lane}, 'ledger', ${number}, 0)
       on conflict do nothing`,
  );
}

/** One simple query, so one transaction: the sums move and the table goes, or neither. */
async function foldTable(session: PostgresSession, fence: Fence, number: number): Promise<void> {
  const { lane } = fence;
  const table = ledgerTable(lane, number);
  await session.query(
    `${fenceSql(fence)} insert into sluice_ledger_totals as t (lane, minute, source_id, destination_id, kind, count)
       select ${lane}, minute, source_id, destination_id, kind, sum(count) from ${table}
       where count <> 0 group by minute, source_id, destination_id, kind
     on conflict (lane, minute, source_id, destination_id, kind) do update set count = t.count + excluded.count;
     drop table ${table};
     delete from sluice_datasets where lane = ${lane} and queue = 'ledger' and number = ${number}`,
  );
}

/**
 * A minute in which as much went out as came in stays balanced under whatever moment it is counted; one with something
 * pending keeps its own. True when there may be more to do.
 */
async function foldDays(session: PostgresSession, fence: Fence, beforeMinute: number): Promise<boolean> {
  const { lane } = fence;
  const incoming = Object.entries(ledgerSides).flatMap(([kind, side]) => (side === 'in' ? `'${kind}'` : []));
  const { rows } = await session.query<{ folded: number }>(
    `${fenceSql(fence)} with closed as (
       select minute, source_id, destination_id from sluice_ledger_totals
       where lane = ${lane} and minute < ${beforeMinute} and minute % ${dayMinutes} <> 0
       group by minute, source_id, destination_id
       having sum(case when kind in (${incoming.join(', ')}) then count else -count end) = 0
       limit ${minutesFoldedMax}
     ), gone as (
       delete from sluice_ledger_totals as t using closed
       where t.lane = ${lane} and t.minute = closed.minute and t.source_id = closed.source_id
         and t.destination_id = closed.destination_id
       returning t.*
     ), added as (
       insert into sluice_ledger_totals as t (lane, minute, source_id, destination_id, kind, count)
         select lane, minute - minute % ${dayMinutes}, source_id, destination_id, kind, sum(count) from gone
         group by 1, 2, 3, 4, 5
       on conflict (lane, minute, source_id, destination_id, kind) do update set count = t.count + excluded.count
     )
     select count(*) as folded from closed`,
  );
  return Number(rows[0]?.folded ?? 0) >= minutesFoldedMax;
}
