-- Aborted jobs that were tried again as new ones (dead-letters.ts): written in the transaction that stores the new job,
-- so that one job is tried again once, however often somebody asks.
create table sluice_redriven (
  job_id bigint primary key,
  redriven_at timestamptz not null
);
