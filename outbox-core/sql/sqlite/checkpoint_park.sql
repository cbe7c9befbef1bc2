-- After checkpoint_save.sql in the same transaction. Takes the write lock. Goes by the primary key. One that is there already is
-- changed only by a later failure: what an operator did meanwhile stands. Texts come as bytes, for they may not be UTF-8.
-- ?1 subscription, ?2 position, ?3 event id, ?4 topic, ?5 key, ?6 state, ?7 reason, ?8 attempts, ?9 event type, ?10 table,
-- ?11 operation, ?12 and ?13 payloads, ?14 and ?15 binary ones, ?16 content type, ?17 headers, ?18 tenant, ?19 actor,
-- ?20 schema version, ?21 transaction, ?22 time, ?23 whether it could be read, ?24 whether it is
-- a replay.
INSERT INTO outbox_dead_letter (subscription, partition_id, position, event_id, topic, event_key, state, reason, attempts,
    event_type, aggregate_type, operation, payload, old_payload, payload_binary, old_payload_binary, content_type, headers,
    tenant_id, actor, schema_version, transaction_id, occurred_at, readable, replayed)
VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, CAST(?12 AS TEXT), CAST(?13 AS TEXT), ?14, ?15, ?16, ?17, ?18, ?19,
    ?20, ?21, ?22, ?23, ?24)
ON CONFLICT (subscription, partition_id, position) DO UPDATE SET state = excluded.state, reason = excluded.reason,
    attempts = excluded.attempts, last_failed_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z',
    event_type = excluded.event_type, aggregate_type = excluded.aggregate_type, operation = excluded.operation,
    payload = excluded.payload, old_payload = excluded.old_payload, payload_binary = excluded.payload_binary,
    old_payload_binary = excluded.old_payload_binary, content_type = excluded.content_type, headers = excluded.headers,
    tenant_id = excluded.tenant_id, actor = excluded.actor, schema_version = excluded.schema_version,
    transaction_id = excluded.transaction_id, occurred_at = excluded.occurred_at, readable = excluded.readable
WHERE state = 'blocked' OR state = 'draining' AND excluded.attempts > attempts;
