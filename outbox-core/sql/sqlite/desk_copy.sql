-- Takes no lock in WAL mode. Goes by the primary key. The columns of source_read.sql. ?1 subscription, ?2 position.
SELECT position, 1 AS passes, 0 AS found, event_id, topic, event_key, event_type, aggregate_type, operation,
    payload, old_payload, payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version,
    transaction_id, occurred_at
FROM outbox_dead_letter WHERE subscription = ?1 AND partition_id = 0 AND position = ?2;
