// Writes one group in one transaction. From `copyRowsMin` rows on: BEGIN, fence, one binary COPY per table, COMMIT.
// Below, where round trips cost more than rows: one prepared statement that inserts into every table and checks the
// fence, which is a transaction by itself (one round trip, one fsync).

import { encodeColumns, type PostgresSession } from '../../transport/index.ts';
import type { GroupWrite, TableWrite } from './group.ts';

export interface Fence {
  lane: number;
  epoch: number;
}

export async function writeGroup(
  session: PostgresSession,
  group: GroupWrite,
  fence: Fence,
  copyRowsMin: number,
): Promise<void> {
  if (group.rows < copyRowsMin) await insertGroup(session, group.tables, fence);
  else await copyGroup(session, group.tables, fence);
}

/** True when the group was committed before its reply was lost. */
export async function wasCommitted(session: PostgresSession, ledger: string, groupId: number): Promise<boolean> {
  const { rowCount } = await session.query(`select 1 from ${ledger} where group_id = $1 limit 1`, [groupId]);
  return rowCount > 0;
}

async function insertGroup(session: PostgresSession, tables: readonly TableWrite[], fence: Fence): Promise<void> {
  const values: (Buffer | number)[] = [];
  const inserts = tables.map((write, index) => {
    const placeholders = write.types.map((type, column) => `$${values.length + column + 1}::${type}[]`);
    values.push(...encodeColumns(write.tuples, write.types));
    return `t${index} as (insert into ${write.table} (${write.columns}) select * from unnest(${placeholders.join(', ')}))`;
  });
  const fenced = `select sluice_fence($${values.length + 1}::smallint, $${values.length + 2}::bigint)`;
  await session.prepared({
    name: `insert ${tables.map((write) => write.table).join(' ')}`,
    text: `with ${inserts.join(', ')} ${fenced}`,
    values: [...values, fence.lane, fence.epoch],
  });
}

async function copyGroup(session: PostgresSession, tables: readonly TableWrite[], fence: Fence): Promise<void> {
  // The first COPY carries BEGIN and the fence with it: a round trip each that a group need not wait for. DO, because
  // a statement that returns rows may not stand before a COPY.
  let before = `begin; do $$ begin perform sluice_fence(${fence.lane}::smallint, ${fence.epoch}::bigint); end $$; `;
  try {
    for (const write of tables) {
      await session.copyIn(`${before}copy ${write.table} (${write.columns}) from stdin (format binary)`, write.tuples);
      before = '';
    }
    await session.query('commit');
  } catch (error) {
    // A broken session rolls back by itself; the first error is the one that tells why.
    if (session.broken === undefined) await session.query('rollback').catch(() => undefined);
    throw error;
  }
}
