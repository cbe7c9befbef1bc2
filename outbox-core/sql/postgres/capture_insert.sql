-- Writes one event; the database adds position, segment, transaction and time. Tells a relay that sleeps. Takes ROW EXCLUSIVE
-- on the log and on the segment that receives inserts, the former before anything is looked at; adds to one primary key.
-- An adapter puts in the columns that an event has something for: a parameter costs the server time, whatever it carries.
INSERT INTO outbox_event (event_id, topic, event_key /* columns */)
-- The look stands among the values, for a query in their place is dearer. The topic is $2 whatever it finds.
VALUES ($1, CASE
    -- null where this user may not look at it: a business transaction never fails for that
    WHEN pg_sequence_last_value(CASE WHEN has_sequence_privilege('outbox_wake'::regclass, 'SELECT')
            THEN 'outbox_wake'::regclass END) > 0
    -- A CASE again and no AND, which would go on after null. As text: a statement makes each of its functions ready whenever it
    -- runs, and these are called once in a while. It never finds a row, so there is no XML.
    THEN CASE
        WHEN query_to_xml($tell$
            SELECT 1 FROM (SELECT pg_sequence_last_value('outbox_wake'::regclass) AS until) AS wake
            WHERE CASE
                -- a queue that somebody else has filled would fail the commit
                WHEN until > date_part('epoch', clock_timestamp()) * 1000000 AND pg_notification_queue_usage() <= 0.5
                THEN pg_notify('outbox:' || 'outbox_wake'::regclass::oid, until::text) IS NULL
            END
        $tell$, true, true, '') IS NULL THEN NULL
        ELSE $2
    END
    ELSE $2
END, $3 /* values */)
