-- The epoch ends with the lease, so that a renewal on its way does not revive what was given back. Takes the write lock. Finds its row by the primary key. ?1 subscription, ?2 relay id, ?3 partition, ?4 epoch.
UPDATE outbox_lease
SET epoch = epoch + 1, expires_at = min(expires_at, (julianday('now') - 2440587.5) * 86400.0), state = 'idle', holes = NULL
WHERE subscription = ?1 AND relay_id = ?2 AND partition_id = ?3 AND epoch = ?4;
