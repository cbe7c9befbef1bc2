-- Takes no lock in WAL mode. Finds the first event at or above ?1 by the primary key.
SELECT max((julianday('now') - julianday(occurred_at)) * 86400.0, 0.0) AS age_seconds
FROM outbox_event WHERE position >= ?1 ORDER BY position LIMIT 1;
