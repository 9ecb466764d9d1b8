-- What an operator decided about deliveries (actors/controls). A handful of rows, changed by hand: not a hot table.
create table sluice_paused_destinations (
  destination_id text primary key,
  reason text not null,
  since timestamptz not null default now()
);

create table sluice_drains (
  id integer generated always as identity primary key,
  destination_id text not null,
  source_id text not null,
  job_run_id text not null,
  received_before timestamptz,
  reason text not null,
  since timestamptz not null default now()
);
