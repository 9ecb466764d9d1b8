-- Back to one process on a database. What waits in an inbox has to be taken over first: the older program would not.

do $$
declare
  inbox record;
  waiting bigint;
begin
  for inbox in select number from sluice_inboxes loop
    execute format(
      'select count(*) from %I where position > coalesce((select max(position) from sluice_inbox_positions where inbox = %s), 0)',
      'sluice_inbox_' || inbox.number, inbox.number) into waiting;
    if waiting <> 0 then
      raise exception 'inbox % still holds % requests: let Sluice take them over before going back', inbox.number, waiting
        using errcode = 'SL002';
    end if;
    execute format('drop table %I', 'sluice_inbox_' || inbox.number);
  end loop;
  if exists (select 1 from sluice_inbox_refused) then
    raise exception 'sluice_inbox_refused still holds events: save them and empty it before going back'
      using errcode = 'SL002';
  end if;
end
$$;

drop table sluice_inbox_refused;
drop table sluice_inbox_positions;
drop table sluice_inboxes;
drop sequence sluice_members;
