-- Writes one event; the database adds position, segment, transaction and time. Tells a relay that sleeps. Takes ROW EXCLUSIVE
-- on the log and on the segment that receives inserts, the former before anything is looked at; adds to one primary key.
INSERT INTO outbox_event (event_id, topic, event_key, event_type, aggregate_type, operation, payload, old_payload,
    payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
-- Always true: pg_notify never returns null. Here it costs half of what a query over the INSERT does, and brings no row back.
WHERE CASE
    -- null where the sequence is not there yet, or not for this user: a business transaction never fails for it
    WHEN pg_sequence_last_value(CASE WHEN has_sequence_privilege(to_regclass('outbox_wake'), 'SELECT')
            THEN to_regclass('outbox_wake') END) > 0
    THEN pg_sequence_last_value(to_regclass('outbox_wake')) <= date_part('epoch', clock_timestamp()) * 1000000
        -- a queue that somebody else has filled would fail the commit
        OR pg_notification_queue_usage() > 0.5
        OR pg_notify('outbox:' || to_regclass('outbox_wake')::oid, pg_sequence_last_value(to_regclass('outbox_wake'))::text) IS NOT NULL
    ELSE true
END
