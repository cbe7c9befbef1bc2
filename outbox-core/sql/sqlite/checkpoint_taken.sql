-- After checkpoint_take.sql in the same transaction. Goes by the primary key. The first columns are those of source_read.sql.
-- ?1 subscription, ?2 positions, [12,15,20].
SELECT position, 1 AS passes, 0 AS found, event_id, topic, event_key, event_type, aggregate_type, operation,
    payload, old_payload, payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version,
    transaction_id, occurred_at, readable, reason, attempts, replayed
FROM outbox_dead_letter
WHERE subscription = ?1 AND partition_id = 0 AND position IN (SELECT value FROM json_each(?2)) ORDER BY position;
