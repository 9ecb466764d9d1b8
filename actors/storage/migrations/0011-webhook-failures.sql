-- Webhooks of a known source that became no events: what came, why it failed and when, until somebody sends it again.
create table sluice_webhook_failures (
  failure_id bigint generated always as identity primary key,
  failed_at timestamptz not null default now(),
  workspace_id text not null,
  source_id text not null,
  status integer not null,
  reason text not null,
  -- Method, path, query and headers as JSON; never the write key.
  request text not null,
  body bytea not null,
  -- Set when it was sent again with success.
  replayed_at timestamptz
);
create index on sluice_webhook_failures (source_id, failure_id);
