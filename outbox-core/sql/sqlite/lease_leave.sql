-- Takes a relay off the list unless a lease of its own still runs, whose taker asks the list who that is. Takes the write
-- lock. Finds its row by the primary key; reads the leases, a row per subscription. ?1 relay id.
DELETE FROM outbox_relay WHERE relay_id = ?1 AND NOT EXISTS (
    SELECT 1 FROM outbox_lease WHERE relay_id = ?1 AND expires_at > (julianday('now') - 2440587.5) * 86400.0
);
