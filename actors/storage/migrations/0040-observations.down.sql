drop table sluice_observation_readers;
drop table sluice_observed;
drop table sluice_observations_3;
drop table sluice_observations_2;
drop table sluice_observations_1;
drop table sluice_observations_0;
