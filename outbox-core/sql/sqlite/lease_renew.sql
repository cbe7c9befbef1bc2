-- Takes the write lock. Finds its row by the primary key. An expired lease that nobody took is renewed too.
-- ?1 subscription, ?2 relay id, ?3 epoch, ?4 length in seconds, ?5 publisher, ?6 state, ?7 last error, ?8 holes as JSON,
-- ?9 partition.
UPDATE outbox_lease
SET expires_at = (julianday('now') - 2440587.5) * 86400.0 + ?4, publisher = ?5, state = ?6, last_error = ?7, holes = ?8
WHERE subscription = ?1 AND partition_id = ?9 AND relay_id = ?2 AND epoch = ?3;
