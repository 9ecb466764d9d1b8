-- What became of the events of a job run (reverse ETL): counters and the records that were given up. Written in the
-- transactions that store and finish the jobs (group.ts), so insert-only like the ledger; read by the job-status API.

create table sluice_job_run_counts (
  job_run_id text collate "C" not null,
  task_run_id text collate "C" not null,
  source_id text collate "C" not null,
  -- '' counts the source itself.
  destination_id text collate "C" not null,
  in_count bigint not null,
  out_count bigint not null,
  failed_count bigint not null,
  counted_at timestamptz not null default now()
);
create index on sluice_job_run_counts (job_run_id);

create table sluice_failed_records (
  job_run_id text collate "C" not null,
  task_run_id text collate "C" not null,
  source_id text collate "C" not null,
  destination_id text collate "C" not null,
  -- JSON text, as the event said it.
  record_id text collate "C" not null,
  code integer not null,
  failed_at timestamptz not null default now()
);
create index on sluice_failed_records (job_run_id, task_run_id, source_id, destination_id, record_id);
