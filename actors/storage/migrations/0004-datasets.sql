-- Datasets move their last unfinished jobs on and get look-up indexes once they are sealed (design 5.2).

-- The residue that holds the unfinished jobs and has taken over the ids of this dataset.
alter table sluice_datasets add column moved_to integer;
-- Made by such a move: its jobs were stored before.
alter table sluice_datasets add column is_residue boolean not null default false;
-- Indexes for look-up are there: of the jobs once the dataset is sealed, of the statuses once its jobs are finished.
alter table sluice_datasets add column jobs_indexed_at timestamptz;
alter table sluice_datasets add column status_indexed_at timestamptz;
