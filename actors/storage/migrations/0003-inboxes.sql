-- Several processes on one database. Who takes part is known by advisory locks (ownership.ts); members are numbered in
-- the order in which they joined, so that the oldest keep what they have.
create sequence sluice_members maxvalue 2147483647 cycle;

-- What a process stores for a lane that another one owns. Each inbox is one insert-only table (`sluice_inbox_N`) with one
-- writing session, which holds an advisory lock as long as rows may still come. The lane's owner takes the rows over
-- and drops the table.
create table sluice_inboxes (
  number integer generated always as identity (cycle) primary key,
  lane smallint not null,
  writer text not null,
  opened_at timestamptz not null default now()
);

-- Up to which row an inbox was taken over; written in the transaction that takes it over, never updated.
create table sluice_inbox_positions (
  inbox integer not null,
  position bigint not null
);
create index sluice_inbox_positions_inbox on sluice_inbox_positions (inbox, position);

-- Rows that Postgres refused when they were taken over. Gateways check what they store, so this takes a fault of ours;
-- what was acknowledged is kept all the same.
create table sluice_inbox_refused (
  inbox integer not null,
  position bigint not null,
  rows bytea not null,
  reason text not null,
  refused_at timestamptz not null default now()
);
