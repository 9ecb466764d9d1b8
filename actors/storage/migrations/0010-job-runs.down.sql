drop table sluice_failed_records;
drop table sluice_job_run_counts;
