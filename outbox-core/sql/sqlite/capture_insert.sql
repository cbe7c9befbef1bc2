-- Takes the write lock, which BEGIN IMMEDIATE took before. Appends at the end of the primary key.
INSERT INTO outbox_event (event_id, topic, event_key, event_type, aggregate_type, operation, payload, old_payload,
    payload_binary, old_payload_binary, content_type, headers, tenant_id, actor, schema_version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
