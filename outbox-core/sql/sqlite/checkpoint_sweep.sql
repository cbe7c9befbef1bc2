-- Removes the holds whose lease no longer runs; the next statement, in the same transaction, their leases. Takes the write
-- lock. Reads the few rows of both tables.
DELETE FROM outbox_checkpoint WHERE subscription LIKE 'hold:%' AND subscription NOT IN (
    SELECT subscription FROM outbox_lease WHERE expires_at > (julianday('now') - 2440587.5) * 86400.0
);
