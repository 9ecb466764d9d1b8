// Settings that say where a pending job belongs: its lane and its partition. They are kept in the database, because
// with other values the jobs that are pending and those that come would be worked on by different actors side by side,
// and the order of users would be lost. They change only when nothing is pending and nobody else runs.

import type { PostgresSession } from '../../transport/index.ts';
import type { QueueName } from '../job.ts';
import { dedupTable, jobsTable, ledgerTable, statusTable } from './datasets.ts';
import { inboxTable } from './inbox-writer.ts';
import { isInUse } from './ownership.ts';
import { readDatasets, readLanes } from './queues.ts';
import { recoverQueue } from './recovery.ts';

export type ModesOutcome =
  /** The database has them now. */
  | { kind: 'settled' }
  /** Another process runs with other values. */
  | { kind: 'inUse'; changes: readonly ModeChange[] }
  | { kind: 'pending'; changes: readonly ModeChange[]; jobs: number };

export interface ModeChange {
  /** Path of the setting. */
  name: string;
  stored: string;
  wanted: string;
}

/** Records `wanted` (by the settings' paths), unless that would change what pending jobs depend on. */
export async function settleModes(
  session: PostgresSession,
  wanted: Readonly<Record<string, string>>,
): Promise<ModesOutcome> {
  await session.query('begin');
  try {
    // Two processes that start at the same time decide one after the other.
    await session.query('lock table sluice_modes in exclusive mode');
    const outcome = await decide(session, wanted);
    await session.query(outcome.kind === 'settled' ? 'commit' : 'rollback');
    return outcome;
  } catch (error) {
    if (session.broken === undefined) await session.query('rollback').catch(() => undefined);
    throw error;
  }
}

async function decide(session: PostgresSession, wanted: Readonly<Record<string, string>>): Promise<ModesOutcome> {
  const { rows } = await session.query<{ name: string; value: string }>('select name, value from sluice_modes');
  const stored = new Map(rows.map(({ name, value }) => [name, value]));
  const changes: ModeChange[] = [];
  for (const [name, value] of Object.entries(wanted)) {
    const known = stored.get(name);
    if (known !== undefined && known !== value) changes.push({ name, stored: known, wanted: value });
  }
  if (changes.length > 0) {
    if (await isInUse(session)) return { kind: 'inUse', changes };
    const jobs = await pendingJobs(session);
    if (jobs > 0) return { kind: 'pending', changes, jobs };
    await dropLanes(session, Number(wanted['storage.lanes'] ?? 1));
  }
  for (const [name, value] of Object.entries(wanted)) {
    if (stored.get(name) === value) continue;
    await session.query(
      `insert into sluice_modes (name, value) values ($1, $2)
       on conflict (name) do update set value = excluded.value, set_at = now()`,
      [name, value],
    );
  }
  return { kind: 'settled' };
}

async function pendingJobs(session: PostgresSession): Promise<number> {
  let jobs = 0;
  for (const lane of await readLanes(session)) {
    const { datasets } = await readDatasets(session, lane);
    for (const [queue, own] of datasets) {
      for (const { pending } of await recoverQueue(session, queue, own)) jobs += pending;
    }
  }
  return jobs + (await storedForOwners(session));
}

/** In inboxes, not taken over yet. */
async function storedForOwners(session: PostgresSession): Promise<number> {
  const { rows: inboxes } = await session.query<{ number: number }>('select number from sluice_inboxes');
  let jobs = 0;
  for (const { number } of inboxes) {
    const { rows } = await session.query<{ jobs: number }>(
      `select coalesce(sum(count), 0)::bigint as jobs from ${inboxTable(number)} where position >
         (select coalesce(max(position), 0) from sluice_inbox_positions where inbox = $1)`,
      [number],
    );
    jobs += rows[0]?.jobs ?? 0;
  }
  return jobs;
}

/** Nothing is pending: lanes from `lanes` on leave their ledger to the first one, and nothing else. */
async function dropLanes(session: PostgresSession, lanes: number): Promise<void> {
  const { rows } = await session.query<{ lane: number; queue: string; number: number }>(
    'select lane, queue, number from sluice_datasets where lane >= $1',
    [lanes],
  );
  for (const { lane, queue, number } of rows) {
    const name = { lane, queue, number };
    if (queue === 'ledger') await foldInto(session, `select * from ${ledgerTable(lane, number)}`);
    await session.query(
      tablesOf(name)
        .map((table) => `drop table if exists ${table}`)
        .join('; '),
    );
  }
  const { rows: inboxes } = await session.query<{ number: number }>(
    'delete from sluice_inboxes where lane >= $1 returning number',
    [lanes],
  );
  for (const { number } of inboxes) {
    await session.query(`drop table ${inboxTable(number)}; delete from sluice_inbox_positions where inbox = ${number}`);
  }
  await foldInto(session, `select * from sluice_ledger_totals where lane >= ${lanes}`);
  await session.query(
    `delete from sluice_ledger_totals where lane >= ${lanes}; delete from sluice_datasets where lane >= ${lanes}`,
  );
}

function tablesOf({ lane, queue, number }: { lane: number; queue: string; number: number }): string[] {
  if (queue === 'ledger') return [ledgerTable(lane, number)];
  if (queue === 'dedup') return [dedupTable(lane, number)];
  const name = { lane, queue: queue as QueueName, number };
  return [jobsTable(name), statusTable(name)];
}

async function foldInto(session: PostgresSession, deltas: string): Promise<void> {
  await session.query(
    `insert into sluice_ledger_totals as t (lane, minute, source_id, destination_id, kind, count)
       select 0, minute, source_id, destination_id, kind, sum(count) from (${deltas}) as deltas
       where count <> 0 group by minute, source_id, destination_id, kind
     on conflict (lane, minute, source_id, destination_id, kind) do update set count = t.count + excluded.count`,
  );
}
