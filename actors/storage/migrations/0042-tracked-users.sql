-- Sketches of the users of each source by hour (actors/tracked-users): each the registers that are set, three bytes to
-- one. Put together from what commits told, in the transactions that forget it.

create table sluice_tracked_users (
  hour integer not null,
  workspace_id text collate "C" not null,
  source_id text collate "C" not null,
  users bytea not null,
  anonymous bytea not null,
  identified bytea not null,
  -- Counts up with every change; equal to reported_version once the reporting service has it.
  version integer not null default 1,
  reported_version integer not null default 0,
  primary key (hour, workspace_id, source_id)
);
