-- What events look like (actors/schemas): one row for each source, type and name of events, put together from what
-- commits told.

create table sluice_event_schemas (
  source_id text collate "C" not null,
  event_type text collate "C" not null,
  event_name text collate "C" not null,
  workspace_id text collate "C" not null,
  write_key text collate "C" not null,
  count bigint not null,
  -- JSON: path -> type -> how many events had it.
  keys text not null,
  -- Some keys or events were not looked at, because there are too many.
  is_cut boolean not null,
  sample text not null,
  first_minute integer not null,
  last_minute integer not null,
  version integer not null default 1,
  forwarded_version integer not null default 0,
  primary key (source_id, event_type, event_name)
);
