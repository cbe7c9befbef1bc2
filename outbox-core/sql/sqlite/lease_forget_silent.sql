-- Forgets relays silent for a day: those killed leave their row behind. Takes the write lock; reads the few rows.
DELETE FROM outbox_relay WHERE seen_at < (julianday('now') - 2440587.5) * 86400.0 - 86400.0;
