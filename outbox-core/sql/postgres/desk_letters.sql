-- The letters of a subscription, of a key where $2 says one, or at a position where $3 says one. Takes ACCESS SHARE on
-- outbox_dead_letter; uses its primary key.
SELECT position, event_id, event_key, topic, state, reason, attempts, first_failed_at, last_failed_at, settled_by,
    settled_reason, settled_at, readable, original_payload IS NOT NULL AS corrected
FROM outbox_dead_letter
WHERE subscription = $1 AND ($2::text IS NULL OR event_key = $2) AND ($3::bigint IS NULL OR position = $3)
ORDER BY position
