drop table sluice_webhook_failures;
