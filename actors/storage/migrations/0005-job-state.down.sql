drop function sluice_job_state(text, bigint, bigint, smallint, integer);
drop function sluice_attempt(text, integer, integer, timestamptz, timestamptz, text);
