-- Back to one lane. The other lanes' ledgers move into the totals and their finished datasets are dropped; while one of
-- them holds a job that is not finished there is no way back, because the older program would never look there.

do $$
declare
  place record;
  infix text;
  unfinished bigint;
begin
  for place in select lane, queue, number from sluice_datasets where lane <> 0 order by queue = 'ledger' loop
    infix := 'l' || place.lane || '_';
    if place.queue = 'ledger' then
      execute format(
        'insert into sluice_ledger_totals (lane, minute, source_id, destination_id, kind, count)
           select %s, minute, source_id, destination_id, kind, sum(count) from %I
           where count <> 0 group by minute, source_id, destination_id, kind
         on conflict (lane, minute, source_id, destination_id, kind)
           do update set count = sluice_ledger_totals.count + excluded.count',
        place.lane, 'sluice_ledger_' || infix || place.number);
      execute format('drop table %I', 'sluice_ledger_' || infix || place.number);
    else
      execute format(
        'select (select count(*) from %I) - (select coalesce(sum(jobs), 0) from %I
           where state in (''succeeded'', ''aborted'', ''filtered''))',
        place.queue || '_' || infix || 'jobs_' || place.number,
        place.queue || '_' || infix || 'status_' || place.number) into unfinished;
      if unfinished <> 0 then
        raise exception 'lane % still holds % unfinished jobs of queue %: let Sluice deliver them before going back',
          place.lane, unfinished, place.queue using errcode = 'SL002';
      end if;
      execute format('drop table %I', place.queue || '_' || infix || 'jobs_' || place.number);
      execute format('drop table %I', place.queue || '_' || infix || 'status_' || place.number);
    end if;
  end loop;
end
$$;

delete from sluice_datasets where lane <> 0;
delete from sluice_lanes where lane <> 0;
alter table sluice_datasets drop constraint sluice_datasets_pkey;
alter table sluice_datasets add primary key (queue, number);
alter table sluice_datasets drop column lane;

with moved as (delete from sluice_ledger_totals where lane <> 0 returning *)
insert into sluice_ledger_totals (lane, minute, source_id, destination_id, kind, count)
  select 0, minute, source_id, destination_id, kind, sum(count) from moved
  group by minute, source_id, destination_id, kind
on conflict (lane, minute, source_id, destination_id, kind)
  do update set count = sluice_ledger_totals.count + excluded.count;
alter table sluice_ledger_totals drop constraint sluice_ledger_totals_pkey;
alter table sluice_ledger_totals add primary key (minute, source_id, destination_id, kind);
alter table sluice_ledger_totals drop column lane;

drop table sluice_modes;
