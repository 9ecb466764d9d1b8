-- The last good configuration of a control plane, encrypted by the program: a start works while the control plane is
-- away, also on a machine that has never seen it. One row per control plane, replaced when the configuration changes.
create table sluice_config_cache (
  name text primary key,
  saved_at timestamptz not null default now(),
  content bytea not null
);
