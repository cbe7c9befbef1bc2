-- The events above ?1, as a test wants to see them. Takes no lock of its own: asked within the transaction that wrote them.
-- Goes by the primary key. The columns are those of source_read.sql.
SELECT position, 1 AS passes, 0 AS found,
    event_id, topic, event_key, event_type, aggregate_type, operation,
    payload, old_payload, payload_binary, old_payload_binary,
    content_type, headers, tenant_id, actor, schema_version, transaction_id, occurred_at
FROM outbox_event WHERE position > ?1 ORDER BY position;
