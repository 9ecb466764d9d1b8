-- Rate limits shared by several processes: per key the moment at which all that was let pass will have been paid off.
-- Unlogged, because after a crash an empty table only means that everybody starts with a full limit again; the free space
-- in its pages keeps its updates off the indexes.
create unlogged table sluice_rate_limits (
  key text primary key,
  paid_off_at_ms double precision not null
) with (fillfactor = 50);
