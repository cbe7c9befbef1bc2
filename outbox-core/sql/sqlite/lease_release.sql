-- Ends the epochs with the leases, as lease_give_back.sql does. Takes the write lock. Reads the table, which has a row for each
-- partition of each subscription. ?1 relay id.
UPDATE outbox_lease
SET epoch = epoch + 1, expires_at = min(expires_at, (julianday('now') - 2440587.5) * 86400.0), state = 'idle', holes = NULL
WHERE relay_id = ?1;
