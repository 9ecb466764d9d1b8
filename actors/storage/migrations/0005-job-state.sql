-- Where a job is: its state and all its attempts, for as long as it is kept. For people with psql, for the admin server
-- and for `sluice job`. Sealed datasets have indexes for it, the live one is small enough to scan.
--
--   select * from sluice_job_state('the message id');
--   select * from sluice_job_state(wanted_job => 42);
--   select * from sluice_job_state(wanted_parent => 42);
--
-- `state` is the last status, `pending` when there is none, and `moved` for what is left of a job in a dataset that
-- gave its unfinished jobs away: the job itself is then another row. A job that is in a consumer's hands is `pending` or
-- `failed` here; only the program knows who holds it.
create function sluice_job_state(
  wanted_message text default null,
  wanted_job bigint default null,
  wanted_parent bigint default null,
  wanted_lane smallint default null,
  rows_max integer default 1000
) returns table (
  queue text,
  lane smallint,
  job_id bigint,
  parent_id bigint,
  partition text,
  user_id text,
  message_id text,
  received_at timestamptz,
  parameters text,
  state text,
  attempts jsonb
)
language plpgsql stable as $$
#variable_conflict use_column
declare
  place record;
  prefix text;
  wanted text;
begin
  wanted := concat_ws(' and ',
    case when wanted_message is not null then 'job.message_id = $1' end,
    case when wanted_job is not null then 'job.job_id = $2' end,
    case when wanted_parent is not null then 'job.parent_id = $3' end);
  if wanted = '' then
    raise exception 'expected a message id, a job id or a parent id' using errcode = '22004';
  end if;
  for place in
    select d.lane, d.queue, d.number, d.moved_to is not null as is_moved from sluice_datasets as d
    where d.queue <> 'ledger' and (wanted_lane is null or d.lane = wanted_lane)
      and (wanted_job is null or wanted_job between d.first_job_id and coalesce(d.last_job_id, wanted_job))
      and (wanted_parent is null or d.queue <> 'gw')
    order by d.first_job_id, d.number
  loop
    prefix := place.queue || '_' || case when place.lane = 0 then '' else 'l' || place.lane || '_' end;
    begin
      return query execute format($query$
        select %1$L::text, %2$s::smallint, job.job_id, job.parent_id, job.partition, job.user_id, job.message_id,
               job.received_at, job.parameters,
               coalesce(ended.state, case when %3$L then 'moved' end, tried.last_state, 'pending'),
               coalesce(tried.attempts, '[]'::jsonb) || coalesce(ended.attempt, '[]'::jsonb)
        from %4$I as job
        left join lateral (
          select jsonb_agg(sluice_attempt(s.state, s.attempt, s.code, s.exec_time, s.retry_time, s.response)
                           order by s.exec_time, s.attempt) as attempts,
                 (array_agg(s.state order by s.exec_time desc, s.attempt desc))[1] as last_state
          from %5$I as s
          where s.partition = job.partition and s.job_id = job.job_id and s.state in ('failed', 'waiting')
        ) as tried on true
        left join lateral (
          select s.state,
                 jsonb_build_array(sluice_attempt(s.state, s.attempt, s.code, s.exec_time, null, s.response)) as attempt
          from %5$I as s
          where s.partition = job.partition and s.job_id >= job.job_id and s.after_id < job.job_id
            and s.state not in ('failed', 'waiting')
          order by s.job_id limit 1
        ) as ended on true
        where %6$s and ended.state is distinct from 'moved'
        order by job.job_id limit $4
      $query$, place.queue, place.lane, place.is_moved, prefix || 'jobs_' || place.number,
        prefix || 'status_' || place.number, wanted)
      using wanted_message, wanted_job, wanted_parent, rows_max;
    exception when undefined_table then
      -- Dropped meanwhile: everything in it was finished long ago.
      null;
    end;
  end loop;
end
$$;

create function sluice_attempt(
  state text, attempt integer, code integer, exec_time timestamptz, retry_time timestamptz, response text
) returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'state', state, 'attempt', attempt, 'code', code,
    'atMs', floor(extract(epoch from exec_time) * 1000)::bigint,
    'retryAtMs', coalesce(floor(extract(epoch from retry_time) * 1000)::bigint, 0),
    'response', response)
$$;
