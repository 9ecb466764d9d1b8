// Where the bytes of the write-ahead log go: how many were written between two moments, and by whom.

import type { StorageGround } from './storage-ground.ts';

export async function walPosition({ postgres }: StorageGround): Promise<string> {
  const { rows } = await postgres.query<{ position: string }>('select pg_current_wal_insert_lsn()::text as position');
  return rows[0]?.position ?? '';
}

export async function walBetween({ postgres }: StorageGround, from: string, to: string): Promise<number> {
  const { rows } = await postgres.query<{ bytes: string }>(
    'select pg_wal_lsn_diff($1::pg_lsn, $2::pg_lsn)::text as bytes',
    [to, from],
  );
  return Number(rows[0]?.bytes);
}

/** A record belongs to the first table or index it names; one that names none is a commit, a lock, a snapshot. */
const byPartSql = `
  select case
      when relname ~ '^gw_.*jobs_[0-9]+$' then 'gw rows' when relname ~ '^rt_.*jobs_[0-9]+$' then 'rt rows'
      when relname ~ '^(gw|rt)_.*status_' then 'statuses' when relname ~ '^sluice_ledger' then 'ledger'
      when relkind = 'i' and relname ~ '_jobs_' then 'indexes of jobs' else 'everything else'
    end as part, sum(length)::text as bytes
  from (
    select distinct on (start_lsn) relfilenode, record_length as length
    from pg_get_wal_block_info($1::pg_lsn, $2::pg_lsn, false) order by start_lsn, block_id
  ) as record left join pg_class on pg_class.relfilenode = record.relfilenode
  group by part order by part`;

/** None where the server cannot tell (before PostgreSQL 16, or without its contributed modules). */
export async function walByPart({ postgres }: StorageGround, from: string, to: string): Promise<[string, number][]> {
  try {
    await postgres.query('create extension if not exists pg_walinspect');
    const { rows } = await postgres.query<{ part: string; bytes: string }>(byPartSql, [from, to]);
    return rows.map(({ part, bytes }) => [part, Number(bytes)]);
  } catch {
    return [];
  }
}
