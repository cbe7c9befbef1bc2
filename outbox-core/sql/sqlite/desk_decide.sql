-- Takes the write lock. Goes by the primary key. ?1 subscription, ?2 positions, ?3 states, as JSON, ?4 the new state, ?5 actor,
-- ?6 reason, ?7 payload.
UPDATE outbox_dead_letter
SET state = ?4, settled_by = coalesce(?5, settled_by), settled_reason = coalesce(?6, settled_reason),
    settled_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z',
    original_payload = CASE WHEN ?7 IS NULL THEN original_payload
        ELSE coalesce(original_payload, payload_binary, CAST(payload AS BLOB), x'') END,
    payload = CASE WHEN ?7 IS NULL THEN payload WHEN payload_binary IS NULL THEN CAST(?7 AS TEXT) END,
    payload_binary = CASE WHEN ?7 IS NULL OR payload_binary IS NULL THEN payload_binary ELSE ?7 END,
    readable = readable OR ?7 IS NOT NULL
WHERE subscription = ?1 AND partition_id = 0 AND position IN (SELECT value FROM json_each(?2))
    AND state IN (SELECT value FROM json_each(?3))
RETURNING position;
