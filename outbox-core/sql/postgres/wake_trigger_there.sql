-- Whether wake_trigger.sql was run. Takes no lock but the catalog's; uses the catalog's indexes.
SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'outbox_event'::regclass AND tgname = 'wake_relay') AS there
