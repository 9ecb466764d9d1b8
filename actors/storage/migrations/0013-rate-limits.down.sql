drop table sluice_rate_limits;
