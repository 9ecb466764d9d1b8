-- Back to one lane. The first release would not see what other lanes hold, so it must be nothing: a start with
-- storage.lanes=1, once nothing is pending, takes their tables away.

do $$
begin
  if exists (select 1 from sluice_datasets where lane <> 0) then
    raise exception 'expected lane 0 only, got tables of others: start once with storage.lanes=1 when nothing is pending';
  end if;
end
$$;

drop table sluice_modes;

alter table sluice_ledger_totals drop constraint sluice_ledger_totals_pkey;
alter table sluice_ledger_totals drop column lane;
alter table sluice_ledger_totals add primary key (minute, source_id, destination_id, kind);

alter table sluice_datasets drop constraint sluice_datasets_pkey;
alter table sluice_datasets drop column lane;
alter table sluice_datasets add primary key (queue, number);
