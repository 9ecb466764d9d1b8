-- An older program remembers no message ids: it lets duplicates through, and so does this one again afterwards. The
-- counts of duplicates go, and those of what was accepted with them, so that the older ledger balances.
do $$
declare
  place record;
  infix text;
  accepted text;
begin
  for place in select lane, queue, number from sluice_datasets where queue in ('dedup', 'ledger') loop
    infix := case when place.lane = 0 then '' else 'l' || place.lane || '_' end;
    if place.queue = 'dedup' then
      execute format('drop table %I', 'sluice_dedup_' || infix || place.number);
    else
      accepted := 'sluice_ledger_' || infix || place.number;
      execute format(
        'insert into %I (group_id, minute, source_id, destination_id, kind, count)
           select 0, minute, source_id, destination_id, ''accepted'', -sum(count) from %I
           where kind = ''deduplicated'' group by minute, source_id, destination_id', accepted, accepted);
      execute format('delete from %I where kind = ''deduplicated''', accepted);
    end if;
  end loop;
end
$$;

delete from sluice_datasets where queue = 'dedup';

update sluice_ledger_totals as t set count = t.count - d.count
  from sluice_ledger_totals as d
  where t.kind = 'accepted' and d.kind = 'deduplicated' and d.lane = t.lane and d.minute = t.minute
    and d.source_id = t.source_id and d.destination_id = t.destination_id;
delete from sluice_ledger_totals where kind = 'deduplicated';

comment on column sluice_datasets.queue is null;
