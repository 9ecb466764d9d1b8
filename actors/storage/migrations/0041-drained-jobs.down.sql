delete from sluice_drains where job_id <> 0;
alter table sluice_drains drop column job_id;
