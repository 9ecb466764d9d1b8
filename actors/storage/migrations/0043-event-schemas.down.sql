drop table sluice_event_schemas;
