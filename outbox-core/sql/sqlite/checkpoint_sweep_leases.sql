-- Removes the leases of holds that no longer run. Takes the write lock. Reads the few rows of the table.
DELETE FROM outbox_lease
WHERE subscription LIKE 'hold:%' AND expires_at <= (julianday('now') - 2440587.5) * 86400.0;
