-- Takes the write lock. Goes by the index of keys. ?1 subscription, ?2 key, ?3 the position where there is no key, ?4 letters,
-- ?5 bytes.
UPDATE outbox_dead_letter SET state = 'draining'
WHERE subscription = ?1 AND position IN (
    SELECT position FROM (
        SELECT position, size, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS running
        FROM (
            SELECT position, coalesce(octet_length(payload), 0) + coalesce(octet_length(old_payload), 0)
                + coalesce(octet_length(payload_binary), 0) + coalesce(octet_length(old_payload_binary), 0)
                + octet_length(topic) + octet_length(event_key) + coalesce(octet_length(headers), 0) AS size
            FROM outbox_dead_letter
            WHERE subscription = ?1 AND event_key = ?2 AND state IN ('waiting', 'requeued', 'draining')
                AND (?2 <> '' OR position = ?3)
            ORDER BY position LIMIT ?4
        )
    )
    WHERE running <= ?5 OR running = size
) AND NOT EXISTS (
    SELECT 1 FROM outbox_dead_letter WHERE subscription = ?1 AND event_key = ?2 AND ?2 <> '' AND state = 'parked'
)
RETURNING position;
