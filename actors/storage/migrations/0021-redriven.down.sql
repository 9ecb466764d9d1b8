drop table sluice_redriven;
