-- From here on the parameters of `rt` jobs leave out what nearly every request has in common
-- (actors/destinations/destination.ts), and a new dataset has one index instead of two. What is there stays as it is: it is
-- read by the same rules.
select 1;
