drop table sluice_drains;
drop table sluice_paused_destinations;
