-- After checkpoint_save.sql in the same transaction; what an operator gave up stays so. Takes the write lock. Goes by the
-- primary key. ?1 subscription, ?2 position, ?3 event id, ?4 key, ?5 topic, ?6 reason, ?7 attempts.
INSERT INTO outbox_dead_letter (subscription, partition_id, position, event_id, event_key, topic, state, reason, attempts)
VALUES (?1, 0, ?2, ?3, ?4, ?5, 'blocked', ?6, ?7)
ON CONFLICT (subscription, partition_id, position) DO UPDATE SET reason = excluded.reason, attempts = excluded.attempts,
    last_failed_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
WHERE state = 'blocked';
