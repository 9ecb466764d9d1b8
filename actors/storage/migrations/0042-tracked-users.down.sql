drop table sluice_tracked_users;
