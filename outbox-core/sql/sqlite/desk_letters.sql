-- Takes no lock in WAL mode. Goes by the primary key. ?1 subscription, ?2 key or null, ?3 position or null.
SELECT position, event_id, event_key, topic, state, reason, attempts, first_failed_at, last_failed_at, settled_by,
    settled_reason, settled_at, readable, original_payload IS NOT NULL AS corrected
FROM outbox_dead_letter
WHERE subscription = ?1 AND (?2 IS NULL OR event_key = ?2) AND (?3 IS NULL OR position = ?3)
ORDER BY position;
