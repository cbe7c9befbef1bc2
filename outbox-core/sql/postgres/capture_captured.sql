-- The events of the transaction that asks, as a test wants to see them: subtransactions have the id of the whole. Takes
-- ACCESS SHARE on the log; reads all of it, for no index helps. The columns are those of source_read.sql.
SELECT position,
    event_id,
    occurred_at,
    schema_version,
    true AS wanted,
    false AS shortened,
    NULL::bigint AS inserted,
    topic,
    event_key,
    event_type,
    aggregate_type,
    operation,
    payload,
    old_payload,
    payload_binary,
    old_payload_binary,
    content_type,
    headers,
    tenant_id,
    actor,
    transaction_id
FROM outbox_event WHERE transaction_id = pg_current_xact_id_if_assigned()::text
ORDER BY position
