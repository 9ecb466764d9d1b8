drop table sluice_config_cache;
