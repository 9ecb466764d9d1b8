-- Back to datasets that keep their jobs. Those that moved their last jobs on go, with the finished jobs in them; while
-- one that took such jobs over holds an unfinished one there is no way back, because the older program would not look
-- for jobs that old in a dataset that new.

do $$
declare
  place record;
  infix text;
  unfinished bigint;
begin
  for place in
    select lane, queue, number, is_residue from sluice_datasets where is_residue or moved_to is not null
  loop
    infix := case when place.lane = 0 then '' else 'l' || place.lane || '_' end;
    if place.is_residue and not exists (
      select 1 from sluice_datasets as d
      where d.lane = place.lane and d.queue = place.queue and d.number = place.number and d.moved_to is not null
    ) then
      execute format(
        'select (select count(*) from %I) - (select coalesce(sum(jobs), 0) from %I
           where state in (''succeeded'', ''aborted'', ''filtered'', ''moved''))',
        place.queue || '_' || infix || 'jobs_' || place.number,
        place.queue || '_' || infix || 'status_' || place.number) into unfinished;
      if unfinished <> 0 then
        raise exception 'queue % still holds % unfinished jobs that were moved: let Sluice deliver them before going back',
          place.queue, unfinished using errcode = 'SL002';
      end if;
    end if;
    execute format('drop table %I', place.queue || '_' || infix || 'jobs_' || place.number);
    execute format('drop table %I', place.queue || '_' || infix || 'status_' || place.number);
    delete from sluice_datasets where lane = place.lane and queue = place.queue and number = place.number;
  end loop;
end
$$;

-- Tables that were made ahead or half filled are in no dataset yet; the older program would take them for new ones.
do $$
declare
  place record;
begin
  for place in
    select c.relname as name, m[1] as queue, coalesce(m[3], '0')::int as lane, m[5]::int as number
    from pg_class as c, regexp_matches(c.relname, '^([a-z_]+?)_(l(\d+)_)?(jobs|status)_(\d+)$') as m
    where c.relkind = 'r' and pg_table_is_visible(c.oid)
  loop
    if not exists (
      select 1 from sluice_datasets as d
      where d.lane = place.lane and d.queue = place.queue and d.number = place.number
    ) then
      execute format('drop table %I', place.name);
    end if;
  end loop;
end
$$;

-- The older program wants a live dataset, and takes the one with the highest number for it.
do $$
declare
  place record;
  infix text;
begin
  for place in
    select lane, queue, max(number) as number, max(last_job_id) as last_job_id from sluice_datasets
    where queue <> 'ledger' group by lane, queue having count(*) filter (where last_job_id is null) = 0
  loop
    infix := place.queue || '_' || case when place.lane = 0 then '' else 'l' || place.lane || '_' end;
    execute format('create table %I (like %I including all)',
      infix || 'jobs_' || place.number + 1, infix || 'jobs_' || place.number);
    execute format('create table %I (like %I including all)',
      infix || 'status_' || place.number + 1, infix || 'status_' || place.number);
    insert into sluice_datasets (lane, queue, number, first_job_id)
      values (place.lane, place.queue, place.number + 1, place.last_job_id + 1);
  end loop;
end
$$;

alter table sluice_datasets drop column moved_to;
alter table sluice_datasets drop column is_residue;
alter table sluice_datasets drop column jobs_indexed_at;
alter table sluice_datasets drop column status_indexed_at;
