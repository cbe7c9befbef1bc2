-- Writes events in the order of the arrays; the database adds position, segment, transaction and time. Tells a relay that
-- sleeps. Takes ROW EXCLUSIVE on the log and on the segment that receives inserts, the former before anything is looked at;
-- adds to one primary key.
WITH written AS (
    INSERT INTO outbox_event (event_id, topic, event_key, event_type, aggregate_type, operation, payload, old_payload,
        payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version)
    SELECT event_id, topic, event_key, event_type, aggregate_type, operation, payload, old_payload,
        payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::bytea[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::text[], $15::integer[]) WITH ORDINALITY
        AS new (event_id, topic, event_key, event_type, aggregate_type, operation, payload, old_payload,
            payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version, ordinality)
    ORDER BY ordinality
), wake AS MATERIALIZED (
    -- null where this user may not look at it: a business transaction never fails for that
    SELECT pg_sequence_last_value(CASE WHEN has_sequence_privilege('outbox_wake'::regclass, 'SELECT')
        THEN 'outbox_wake'::regclass END) AS until
)
SELECT pg_notify('outbox:' || 'outbox_wake'::regclass::oid, until::text)
FROM wake
-- a queue that somebody else has filled would fail the commit
WHERE until > 0 AND until > date_part('epoch', clock_timestamp()) * 1000000 AND pg_notification_queue_usage() <= 0.5
