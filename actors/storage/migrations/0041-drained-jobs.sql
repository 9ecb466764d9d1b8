-- One job can be given up by its id, which frees the events of its user that wait behind it. 0: any job.
alter table sluice_drains add column job_id bigint not null default 0;
