-- Takes away what wake_trigger.sql made. Takes ACCESS EXCLUSIVE on the log, behind writers and readers that are open.
DROP TRIGGER IF EXISTS wake_relay ON outbox_event;

DROP FUNCTION IF EXISTS outbox_wake_relay();
