-- Opt-in: lets writers that do not use the library wake a relay, by any INSERT, COPY or MERGE into the log. Each such statement
-- looks at outbox_wake, where its user may; the function runs only while a relay sleeps. Not for whoever prepares transactions:
-- PREPARE TRANSACTION fails after a notification. Takes SHARE ROW EXCLUSIVE on the log, behind writers that are open.
CREATE OR REPLACE FUNCTION outbox_wake_relay() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- a queue that somebody else has filled would fail the commit
    IF pg_notification_queue_usage() <= 0.5 THEN
        PERFORM pg_notify('outbox:' || 'outbox_wake'::regclass::oid, pg_sequence_last_value('outbox_wake'::regclass)::text);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER wake_relay AFTER INSERT ON outbox_event FOR EACH STATEMENT
WHEN (CASE WHEN has_sequence_privilege('outbox_wake'::regclass, 'SELECT') THEN pg_sequence_last_value('outbox_wake'::regclass) END
    > date_part('epoch', clock_timestamp()) * 1000000)
EXECUTE FUNCTION outbox_wake_relay();
