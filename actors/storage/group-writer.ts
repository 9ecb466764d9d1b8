// Writes one group in one transaction. From `copyRowsMin` rows on: BEGIN, fence, one binary COPY per table, COMMIT.
// Below, where round trips cost more than rows: one prepared statement that inserts into every table and checks the
// fence, which is a transaction by itself (one round trip, one fsync).

import { encodeColumns, type PostgresSession } from '../../transport/index.ts';
import type { GroupWrite, TableWrite } from './group.ts';

export interface Fence {
  lane: number;
  epoch: number;
}

/** For a transaction of the lane's maintenance, in front of its statements: a process that lost its lane changes nothing. */
export function fenceSql({ lane, epoch }: Fence): string {
  return `select sluice_fence(${lane}::smallint, ${epoch}::bigint);\n`;
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
  const { name, text } = insertStatement(tables);
  const values = tables.flatMap((write): (Buffer | number)[] => encodeColumns(write.tuples, write.types));
  await session.prepared({ name, text, values: [...values, fence.lane, fence.epoch] });
}

/** Statements by the tables they insert into. Datasets come and go, so the old ones are forgotten now and then. */
const statements = new Map<string, { name: string; text: string }>();
const statementsMax = 256;
let statementsMade = 0;

/** Exported for its test. */
export function insertStatement(tables: readonly Pick<TableWrite, 'table' | 'columns' | 'types'>[]): {
  name: string;
  text: string;
} {
  const key = tables.map((write) => write.table).join(' ');
  const known = statements.get(key);
  if (known !== undefined) return known;
  let parameters = 0;
  const inserts = tables.map((write, index) => {
    const arrays = write.types.map((type) => {
      parameters += 1;
      return `$${parameters}::${type}[]`;
    });
    return `t${index} as (insert into ${write.table} (${write.columns}) select * from unnest(${arrays.join(', ')}))`;
  });
  const fenced = `select sluice_fence($${parameters + 1}::smallint, $${parameters + 2}::bigint)`;
  statementsMade += 1;
  // A number and not the tables' names: Postgres tells statements apart by the first 63 bytes only.
  const statement = { name: `insert_group_${statementsMade}`, text: `with ${inserts.join(', ')} ${fenced}` };
  if (statements.size >= statementsMax) statements.clear();
  statements.set(key, statement);
  return statement;
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
