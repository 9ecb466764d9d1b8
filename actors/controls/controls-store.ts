// The operator's decisions in the database, where they survive a restart and reach every process that shares it.

import type { Postgres } from '../../transport/index.ts';
import type { Controls, DrainRule } from './contract.ts';

interface PausedRow {
  destination_id: string;
  reason: string;
  since: Date;
}

interface DrainRow {
  id: number;
  destination_id: string;
  source_id: string;
  job_run_id: string;
  job_id: number;
  received_before: Date | null;
  reason: string;
  since: Date;
}

export async function readControls(postgres: Postgres): Promise<Controls> {
  const paused = await postgres.query<PausedRow>(
    'select destination_id, reason, since from sluice_paused_destinations order by destination_id',
  );
  const drains = await postgres.query<DrainRow>(
    `select id, destination_id, source_id, job_run_id, job_id, received_before, reason, since
     from sluice_drains order by id`,
  );
  return {
    paused: paused.rows.map((row) => ({
      destinationId: row.destination_id,
      reason: row.reason,
      sinceMs: row.since.getTime(),
    })),
    drains: drains.rows.map((row) => ({
      id: row.id,
      destinationId: row.destination_id,
      sourceId: row.source_id,
      jobRunId: row.job_run_id,
      jobId: row.job_id,
      receivedBeforeMs: row.received_before?.getTime() ?? 0,
      reason: row.reason,
      sinceMs: row.since.getTime(),
    })),
  };
}

export async function pauseDestination(postgres: Postgres, destinationId: string, reason: string): Promise<void> {
  await postgres.query(
    `insert into sluice_paused_destinations (destination_id, reason) values ($1, $2)
     on conflict (destination_id) do update set reason = excluded.reason`,
    [destinationId, reason],
  );
}

/** False when it was not paused. */
export async function resumeDestination(postgres: Postgres, destinationId: string): Promise<boolean> {
  const { rowCount } = await postgres.query('delete from sluice_paused_destinations where destination_id = $1', [
    destinationId,
  ]);
  return rowCount > 0;
}

export async function addDrain(postgres: Postgres, rule: Omit<DrainRule, 'id' | 'sinceMs'>): Promise<number> {
  // A rule for one job has done its work soon; the others are ended by whoever made them.
  await postgres.query(`delete from sluice_drains where job_id <> 0 and since < now() - interval '1 day'`, []);
  const { rows } = await postgres.query<{ id: number }>(
    `insert into sluice_drains (destination_id, source_id, job_run_id, received_before, reason, job_id)
     values ($1, $2, $3, $4, $5, $6) returning id`,
    [
      rule.destinationId,
      rule.sourceId,
      rule.jobRunId,
      rule.receivedBeforeMs === 0 ? null : new Date(rule.receivedBeforeMs),
      rule.reason,
      rule.jobId,
    ],
  );
  return rows[0]?.id ?? 0;
}

/** False when there is no such rule. */
export async function removeDrain(postgres: Postgres, id: number): Promise<boolean> {
  const { rowCount } = await postgres.query('delete from sluice_drains where id = $1', [id]);
  return rowCount > 0;
}
