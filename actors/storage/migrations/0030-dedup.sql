-- Tables of message ids that were processed (sluice_dedup_N) are made and dropped at run time like the ledger's
-- (dedup-tables.ts), and are known by their entries here.
comment on column sluice_datasets.queue is 'a queue of jobs, or ledger, or dedup';
