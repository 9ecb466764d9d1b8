-- An older program wants every field of a request. They are written before those that are there: of two fields of one
-- name the later one counts. Inside of strings quotes are escaped, so that the text can stand nowhere else. It also looks
-- for single jobs by their id alone.
do $$
declare
  place record;
begin
  for place in
    select queue, queue || '_' || case when lane = 0 then '' else 'l' || lane || '_' end || 'jobs_' || number as jobs
    from sluice_datasets where queue not in ('ledger', 'dedup')
  loop
    if not exists (select 1 from pg_index where indrelid = place.jobs::regclass and indkey[0] = 1) then
      execute format('create index %I on %I (job_id)', place.jobs || '_id', place.jobs);
    end if;
    if place.queue = 'rt' then
      execute format(
        'update %I set parameters = regexp_replace(parameters, %L, %L) where parameters ~ %L and parameters !~ %L',
        place.jobs, '"request":\{', '"request":{"method":"POST","headers":{},"params":{},"format":"JSON",',
        '"request":\{', '"request":\{"method":');
    end if;
  end loop;
end
$$;
