-- Keeps events aside, after checkpoint_save.sql in the same transaction. Takes ROW EXCLUSIVE on outbox_dead_letter; uses its
-- primary key. One that is there already is changed only by a later failure: what an operator did meanwhile stands.
INSERT INTO outbox_dead_letter AS stored
    (subscription, partition_id, position, event_id, topic, event_key, state, reason, attempts, event_type, aggregate_type,
    operation, payload, old_payload, payload_binary, old_payload_binary, content_type, headers, tenant_id, actor,
    schema_version, transaction_id, occurred_at, readable, replayed)
SELECT $1, 0, position, event_id, topic, event_key, state, reason, attempts, event_type, aggregate_type, operation,
    convert_from(payload, pg_client_encoding()), convert_from(old_payload, pg_client_encoding()), payload_binary,
    old_payload_binary, content_type, headers, tenant_id, actor, schema_version, transaction_id, occurred_at, readable, replayed
FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::integer[], $9::text[], $10::text[],
    $11::text[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bytea[], $16::text[], $17::text[], $18::text[], $19::text[],
    $20::integer[], $21::text[], $22::timestamptz[], $23::boolean[], $24::boolean[])
    AS letter (position, event_id, topic, event_key, state, reason, attempts, event_type, aggregate_type, operation, payload,
    old_payload, payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version, transaction_id,
    occurred_at, readable, replayed)
ON CONFLICT (subscription, partition_id, position) DO UPDATE
SET state = excluded.state, reason = excluded.reason, attempts = excluded.attempts, last_failed_at = clock_timestamp(),
    event_type = excluded.event_type, aggregate_type = excluded.aggregate_type, operation = excluded.operation,
    payload = excluded.payload, old_payload = excluded.old_payload, payload_binary = excluded.payload_binary,
    old_payload_binary = excluded.old_payload_binary, content_type = excluded.content_type, headers = excluded.headers,
    tenant_id = excluded.tenant_id, actor = excluded.actor, schema_version = excluded.schema_version,
    transaction_id = excluded.transaction_id, occurred_at = excluded.occurred_at, readable = excluded.readable
WHERE stored.state = 'blocked' OR stored.state = 'draining' AND excluded.attempts > stored.attempts
