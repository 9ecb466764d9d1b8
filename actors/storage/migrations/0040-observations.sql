-- What stages tell beside the main path (actors/observations): written in the transactions of the jobs, into four tables
-- in turn, a minute each. Whatever a table holds is added up into sluice_observed and the table is truncated, both in one
-- transaction: nothing here is ever updated, and a hot table never keeps a dead row.

create table sluice_observations_0 (
  topic text collate "C" not null,
  minute integer not null,
  labels text collate "C" not null,
  count bigint not null,
  sample text collate "C" not null,
  content bytea not null
);
create table sluice_observations_1 (like sluice_observations_0);
create table sluice_observations_2 (like sluice_observations_0);
create table sluice_observations_3 (like sluice_observations_0);

-- One row per topic, labels and emptied table. Ids ascend in the order of the commits: one emptying at a time.
create table sluice_observed (
  id bigint generated always as identity primary key,
  topic text collate "C" not null,
  minute integer not null,
  labels text collate "C" not null,
  count bigint not null,
  sample text collate "C" not null,
  content bytea not null
);
create index on sluice_observed (topic, minute);

-- How far each reader has come in sluice_observed. A row is locked while its reader works.
create table sluice_observation_readers (
  reader text primary key,
  position bigint not null default 0,
  leased_by text not null default '',
  leased_until timestamptz not null default 'epoch'
);
