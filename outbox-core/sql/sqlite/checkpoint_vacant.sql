-- Removes the leases of a subscription that no longer run, and gives their epochs. Takes the write lock. Goes by the primary
-- key. ?1 subscription.
DELETE FROM outbox_lease WHERE subscription = ?1 AND expires_at <= (julianday('now') - 2440587.5) * 86400.0 RETURNING epoch;
