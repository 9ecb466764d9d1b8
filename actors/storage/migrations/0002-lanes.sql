-- Lanes beside the first (design 5.5): every lane has datasets, a ledger and totals of its own. Tables of lane 0 keep the
-- names they have; those of lane L carry it (`gw_l1_jobs_3`, `sluice_ledger_l1_2`).

alter table sluice_datasets add column lane smallint not null default 0;
alter table sluice_datasets drop constraint sluice_datasets_pkey;
alter table sluice_datasets add primary key (lane, queue, number);

alter table sluice_ledger_totals add column lane smallint not null default 0;
alter table sluice_ledger_totals drop constraint sluice_ledger_totals_pkey;
alter table sluice_ledger_totals add primary key (lane, minute, source_id, destination_id, kind);

-- Settings that say where a pending job belongs (which lane, which partition). A start with other values is refused
-- while anything is pending, because the order of users would be lost between the old place and the new one.
create table sluice_modes (
  name text primary key,
  value text not null,
  set_at timestamptz not null default now()
);
