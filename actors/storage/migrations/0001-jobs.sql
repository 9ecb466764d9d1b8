-- Everything about jobs that outlives a dataset. The datasets themselves (<queue>_jobs_N, <queue>_status_N) are made
-- and dropped at run time by the storage actor (datasets.ts); they are insert-only and dropped whole.

-- A lane is a log with one writer. Its row gives the writer's fencing epoch and the next block of job ids.
create table sluice_lanes (
  lane smallint primary key,
  epoch bigint not null,
  next_job_id bigint not null,
  owner text not null,
  taken_at timestamptz not null default now()
);

-- Datasets by queue, oldest first. `last_job_id` and `rows` are set when the dataset is sealed.
create table sluice_datasets (
  queue text not null,
  number integer not null,
  first_job_id bigint not null,
  last_job_id bigint,
  row_count bigint,
  created_at timestamptz not null default now(),
  sealed_at timestamptz,
  primary key (queue, number)
);

-- The ledger: one row per commit and counter, never updated; maintenance folds old rows into sluice_ledger_totals.
-- group_id also tells after a lost connection whether a group was committed.
create table sluice_ledger_1 (
  group_id bigint not null,
  minute integer not null,
  source_id text not null,
  destination_id text not null,
  kind text not null,
  count bigint not null
);

create table sluice_ledger_totals (
  minute integer not null,
  source_id text not null,
  destination_id text not null,
  kind text not null,
  count bigint not null,
  primary key (minute, source_id, destination_id, kind)
);

-- Refuses the transaction of a lane writer that was replaced. The shared lock makes a take-over (which holds it
-- exclusively while it raises the epoch) wait for transactions that passed the check before.
create function sluice_fence(fenced_lane smallint, fenced_epoch bigint) returns void
language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(725101, fenced_lane);
  if (select epoch from sluice_lanes where lane = fenced_lane) is distinct from fenced_epoch then
    raise exception 'lane % was taken over by a newer epoch than %', fenced_lane, fenced_epoch using errcode = 'SL001';
  end if;
end
$$;

insert into sluice_datasets (queue, number, first_job_id) values ('ledger', 1, 0);
