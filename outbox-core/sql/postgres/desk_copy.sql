-- What a letter carries, in the columns of source_read.sql. Takes ACCESS SHARE on outbox_dead_letter; uses its primary key.
SELECT position, event_id, occurred_at, schema_version, true AS wanted, false AS shortened, NULL::bigint AS inserted,
    topic, event_key, event_type, aggregate_type, operation, payload, old_payload, payload_binary, old_payload_binary,
    content_type, headers, tenant_id, actor, transaction_id
FROM outbox_dead_letter WHERE subscription = $1 AND position = $2
