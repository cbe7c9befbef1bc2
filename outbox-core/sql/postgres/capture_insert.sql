-- Writes one event; the database adds position, segment, transaction and time. Takes ROW EXCLUSIVE
-- on the log and on the segment that receives inserts; adds to one primary key.
INSERT INTO outbox_event (event_id, topic, event_key, event_type, aggregate_type, operation, payload, old_payload,
    payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
